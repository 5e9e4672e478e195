"""Tables of finished sweeps, for tests of what is made of them."""

import pandas as pd


def rows(groups=('observed', 'unobserved'), lengths=(4, 16), seeds=3):
  """A table of a finished sweep, whose unobserved accuracy is best for 'kl' and development accuracy for 'js'."""
  base = {'observed': 0.9, 'unobserved': 0.2, 'development': 0.3}
  made = [
    {'kind': 'baseline', 'trial': 'without adapter', 'status': 'finished', **{f'{g} AvgP': base[g] for g in groups}}
  ]
  for objective in ('kl', 'js'):
    for length in lengths:
      for seed in range(seeds):
        gain = {'unobserved': 0.2 if objective == 'kl' else 0.1, 'development': 0.1 if objective == 'kl' else 0.2}
        made.append(
          {'kind': 'trial', 'trial': f'{objective} {length} {seed}', 'status': 'finished', 'objectives': objective,
           'ADAPTER_LENGTH': length, 'seed': seed, 'measured_on': 'a', 'steps': 5, 'train_seconds': 2.0, 'parameters': 7, 'error': '',
           'train_command': 'robust-t5x train', 'eval_command': 'robust-t5x eval',
           **{f'{g} AvgP': base[g] + gain.get(g, 0) + 0.01 * seed + 0.001 * length for g in groups}}
        )  # fmt: skip
  return pd.DataFrame(made), {'objectives': ['kl', 'js'], 'ADAPTER_LENGTH': list(lengths)}
