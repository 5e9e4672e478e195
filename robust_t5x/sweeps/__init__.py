"""Sweeps: every trial of a grid of settings trained and evaluated, into one table and a page of response curves.

Public: `flags.parse` (the command line) and `running.sweep` (what it does). `grid` has the axes and what follows from them,
`check` what each trial is going to be, `trial` one trial on disk, `table` and `page` the results, `charts` the curves.
"""
