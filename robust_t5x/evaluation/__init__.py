"""How a model's answers become a results table.

Public: `scorers.score_task` (the rows of a task, scored), `rows` (the rows of evaluation tasks), `cells` (which of them a
budget allows), `checks` (whether tasks can be evaluated so), `stopping` (rounds of cells until enough is known), `subjects` (what is
asked of a model), `lm_eval_tasks` (tasks for lm-evaluation-harness), `lm_eval_model` (our models in it) and `paraphrase` (drafts of
paraphrases). The verbs `eval`, `represent`, `harness` and `tasks` put these together.
"""
