"""Training: from the gin files' settings to an adapter file.

`start` gives the state that a run begins with, `data` its batches, `step` the compiled step, `loop` runs it, `records` keep
what the run was told, `export` writes what it leaves. `optimizers` are those that gin files choose from; `arithmetic` says
what a step must compute at least; `t5x_support` is what T5X's own trainer needs besides.
"""
