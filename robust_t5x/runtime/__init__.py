"""Process and machine: what every verb stands on, whatever it does.

Command lines (`launcher`), gin files and recipes (`gin_files`, `recipes`), errors that a user can mend (`errors`), files that
are written whole (`files`), several processes as one run (`processes`), `progress`, silence at start-up (`quiet`), versions of
what can change a result (`versions`), and devices: `topologies` that runs are planned for, meshes and shardings
(`partitioning`), compiled programs read back (`hlo`). No other room is imported here.
"""
