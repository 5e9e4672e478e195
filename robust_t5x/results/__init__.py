"""The results table: a row for each example under each phrasing, and all that writes or reads it.

Public: `schema` (columns, grains, what `run.json` holds, errors), `scorers` (the one table of scorers, and the columns of a
scored cell), `runs.Run` (an evaluation on disk), `reading.read` (results of ours, of T5X, of lm-evaluation-harness or of
others) and `cells.Cells` (a table as arrays of examples by phrasings). `published`, `t5x_output` and `lm_eval` are the readers behind `reading`.
"""
