"""Damaged inputs for every reader of the project, and what each makes of them.

A module of this folder that has `READERS` takes part: name -> a function of a random generator and an empty directory,
which writes a damaged input there and returns a call, without arguments, that reads it. `damage` has the damage,
`running` what a call may do and what counts as a fault. `python -m tests.fuzz --help` runs many.
"""
