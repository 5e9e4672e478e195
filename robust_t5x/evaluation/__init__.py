"""How a model's answers become a results table, and its states arrays.

Public: `scorers.score_task` (the rows of a task, scored), `rows` (the rows of evaluation tasks), `cells` (which of them a
budget allows) and `states` (a model's states under many inputs). The verbs `eval` and `represent` put these together.
"""
