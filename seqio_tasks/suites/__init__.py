"""Which tasks and mixtures datasets become, under which phrasings.

`register` is the one registrar: it takes datasets, from the functions of `datasets`, and banks, and registers everything that
`registrar` names. Gin files choose its arguments (`gin/tasks/`) and hand such calls over as REGISTER_TASKS, which
`register_all` makes; `evaluation_tasks` makes them too and returns what mixtures are evaluated by. `groups` sorts phrasings,
`splits` cuts examples, `training` and `evaluation` register a dataset's tasks.
"""

from seqio_tasks.suites.registrar import evaluation_tasks, register, register_all

__all__ = ['evaluation_tasks', 'register', 'register_all']
