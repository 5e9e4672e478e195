"""Sweeps: every cell of a grid of settings trained and evaluated, into one table and a page of response curves.

Public: `flags.parse` (the command line) and `running.sweep` (what it does). `grid` has the axes and what follows from them,
`check` what each cell is going to be, `cell` one cell on disk, `table` and `page` the results, `charts` the curves.
"""
