"""Scorers: how an answer becomes a score."""

import json
from typing import Any

SCORERS = ('exact_match', 'lmentry', 'rank_likelihood', 'paper_logits')
OPTION_SCORERS = ('rank_likelihood', 'paper_logits')  # answer with the option that scores best


def score_task(runner, rows, task, scorer, label) -> Any:
  """Scores the rows of one task: a results table."""
  import numpy as np
  import pandas as pd

  from seqio_tasks import answers

  inputs = [row['inputs'] for row in rows]
  golds = [row['targets_pretokenized'] for row in rows]
  options = [json.loads(row['options']) for row in rows]
  right = [[gold, *json.loads(row['alternatives'])] for gold, row in zip(golds, rows, strict=True)]
  option_scores = [''] * len(rows)
  if scorer in OPTION_SCORERS:
    score_options = runner.score if scorer == 'rank_likelihood' else runner.score_free_running
    ranked = score_options(inputs, options)
    predictions = [o[int(s.argmax())] for o, s in zip(options, ranked, strict=True)]
    option_scores = [
      json.dumps({o: round(float(x), 5) for o, x in zip(os_, s, strict=True)})
      for os_, s in zip(options, ranked, strict=True)
    ]
  else:
    predictions = runner.generate(inputs)
  if scorer == 'lmentry':
    scores = [
      max(answers.lmentry_score(p, g, o) for g in r) for p, r, o in zip(predictions, right, options, strict=True)
    ]
  else:
    scores = [answers.matches_any(p, r) for p, r in zip(predictions, right, strict=True)]
  matched = [answers.is_an_option(p, o) for p, o in zip(predictions, options, strict=True)]
  return pd.DataFrame(
    {
      'model': label,
      'dataset': task.dataset,
      'example_id': [row['example_id'] for row in rows],
      'instruction_id': [row['instruction_id'] for row in rows],
      'group': task.group,
      'scorer': scorer,
      'prediction': predictions,
      'gold': golds,
      'score': np.asarray(scores, np.float64),
      'option_scores': option_scores,
      'matched_option': matched,
      'truncated_tokens': [int(row['truncated_tokens']) for row in rows],
    }
  )
