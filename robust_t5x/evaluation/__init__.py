"""How a model's answers become a results table.

Public: `scorers.score_task` (the rows of a task, scored), `rows` (the rows of evaluation tasks) and `cells` (which of them a
budget allows). The verbs `eval` and `represent` put these together.
"""
