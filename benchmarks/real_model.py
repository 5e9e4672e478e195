"""What wording does to a real model, and what alignment does about it: the tables of docs/real_model.md and
docs/real_model_parts.md.

`bash benchmarks/real_model.sh OUT BIGBENCH_DIR` makes the evaluations that this reads; `python benchmarks/real_model.py OUT`
then keeps their scores in benchmarks/results/real_model/, beside those of earlier runs, and writes
benchmarks/results/real_model.json and docs/real_finding.png from all that is kept. Without OUT the tables are made from what is kept. OUT has

- frozen, the model as it is, METHOD-SEED, one with an adapter, and METHOD_0.0003-SEED, one of that learning rate instead of the chosen one;
- content_free_NAME, the same without questions, and elsewhere_NAME, on tasks that nothing was trained on;
- wide_NAME and wide_content_free_NAME, on many examples under few phrasings each; full_frozen, on many under all phrasings;
- development_frozen, on what rates were chosen by, and votes_frozen, on examples of training;
- plain_text.csv, which benchmarks/plain_text.py writes, and tuning/METHOD, the sweep that a learning rate was chosen by.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import json
import pathlib

import numpy as np
import pandas as pd
import study
import wording_tables

from robust_t5x.analysis import remedies
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.results import votes
from robust_t5x.results.reading import read
from robust_t5x.results.schema import Record

RESULTS = pathlib.Path(__file__).parent / 'results/real_model.json'
KEPT = RESULTS.with_suffix('')
PICTURE = pathlib.Path(__file__).parents[1] / 'docs/real_finding.png'
FROZEN, PLAIN_TEXT = 'frozen', 'plain_text.csv'
CONTENT_FREE, ELSEWHERE, WIDE, FULL, DEVELOPMENT, VOTES = (
  'content_free_', 'elsewhere_', 'wide_', 'full_', 'development_', 'votes_'
)  # fmt: skip
LOW_RATE = '_0.0003'
_KINDS = (WIDE + CONTENT_FREE, WIDE, CONTENT_FREE, ELSEWHERE, FULL, DEVELOPMENT, VOTES, LOW_RATE, '')
CALIBRATED = ', calibrated'
GROUP = 'unobserved'
_DRAWN = (FROZEN, 'aligned', *(name + CALIBRATED for name in (FROZEN, 'likelihood', 'aligned')))
# What is looked at by kinds of phrasings and of tasks, too.
_IN_PARTS = (FROZEN, 'aligned', 'canonical', 'likelihood', 'voted_ensemble')
_LABEL_FREE = ('distil_prompt', 'voted_ensemble')  # methods that read no right answer
# The method that is taught by the frozen model with those that are taught right answers.
_SELF_TAUGHT = [('ensemble' + how, other + how) for how in ('', CALIBRATED) for other in ('canonical', 'likelihood')]
_WITHOUT_LABELS = [
  (model + how, other + how)
  for how in ('', CALIBRATED)
  for model, other in (
    *((m, FROZEN) for m in _LABEL_FREE),
    *(('voted_ensemble', other) for other in ('canonical', 'likelihood', 'ensemble')),
    ('aligned', 'voted_ensemble'),
  )
]
_CHOSEN = 'chosen'  # what stands for a phrasing that differs from seed to seed
_METRICS = ('AvgP', 'sd', 'worst phrasing')
_AS_IT_IS = 'sum'  # what the evaluation itself reports
# The tasks that have examples of their own to train on.
TRAINED = ('bigbench_step_inference', 'bigbench_goal_inference', 'bigbench_intent_recognition')
_TRAINED = ('other tasks', 'trained tasks')


def without_training(table: pd.DataFrame, free: pd.DataFrame, record: Record) -> Iterator[study.Cells]:
  """A row for each reading of the frozen model's scores."""
  readings = {_AS_IT_IS: table} | {name: function(table) for name, function in remedies.READINGS.items()}
  readings['calibrated'] = remedies.calibrated(table, free)
  for name, read_so in readings.items():
    yield [name, *_numbers(study.compared({name: [read_so]}, record), name)]


def one_phrasing(
  reported: Mapping[str, Sequence[pd.DataFrame]], others: Mapping[str, Sequence[pd.DataFrame]], record: Record
) -> Iterator[study.Cells]:
  """A row for each model: accuracy under all phrasings of each task, and under the one that was best on other examples."""
  record = {**record, 'instructions': {**record['instructions'], _CHOSEN: ''}}
  for name in reported:
    pairs = list(zip(reported[name], others.get(name, []), strict=False))  # the seeds of both
    chosen = [remedies.chosen_phrasing(own, _without(more, own)).assign(instruction_id=_CHOSEN) for own, more in pairs]
    if pairs:
      found = (study.compared({name: t}, record).interval(name, GROUP, 'AvgP') for t in ([o for o, _ in pairs], chosen))
      yield [_words(name), str(len(pairs)), *map(study.interval, found)]


def voted(directory: str) -> Iterator[study.Cells]:
  """A row for each task: examples that were asked, those whose phrasings agree on an answer most often, and how often that is right."""
  table, _ = read(directory)
  for dataset, chosen in votes.votes(directory).items():
    own = table[table['dataset'] == dataset].drop_duplicates('example_id').set_index('example_id')
    right = [list(json.loads(own['option_scores'][e])).index(own['gold'][e]) == place for e, place in chosen.items()]
    yield [wording_tables.task_name(dataset), str(len(own)), str(len(chosen)), f'{100 * np.mean(right):.0f}']


def _without(table: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
  """The rows of a table whose examples are not in another."""
  examples, left_out = (pd.MultiIndex.from_frame(t[['dataset', 'example_id']]) for t in (table, others))
  return table[~examples.isin(left_out)]


def methods(tables: Mapping[str, Sequence[pd.DataFrame]], compared: Comparison) -> Iterator[study.Cells]:
  """A row for each model, its seeds together."""
  for name in tables:
    yield [_words(name), str(len(tables[name])), *_numbers(compared, name)]


def changes(compared: Comparison, pairs: Iterable[tuple[str, str]]) -> Iterator[study.Cells]:
  """A row for each pair of models: how the first differs from the second."""
  for name, baseline in pairs:
    found = (compared.change(name, GROUP, metric, baseline=baseline) for metric in _METRICS)
    alike = compared.answer_agreement_change(name, GROUP, baseline)['consistency']
    yield [
      f'{_words(name)} less {_words(baseline)}',
      *(study.interval(change, signed=True) for change in (*found, alike)),
    ]


def _pairs(models: Collection[str]) -> list[tuple[str, str]]:
  """Each model with the frozen one, and the first method with each other one, calibrated and not."""
  first, *others = (m for m in models if m != FROZEN and not m.endswith(CALIBRATED))
  pairs = [
    *((m, FROZEN) for m in models if m != FROZEN),
    *((first, other) for other in (*others, FROZEN + CALIBRATED)),
    *((m + CALIBRATED, FROZEN + CALIBRATED) for m in (first, *others)),
    *((first + CALIBRATED, other + CALIBRATED) for other in others),
  ]
  return [pair for pair in pairs if set(pair) <= set(models)]


def _phrasings(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
  return zip(table['instruction_id'], table['dataset'], strict=True)


def _words(name: str) -> str:
  return name.replace('_', ' ')


def perplexities(directory: pathlib.Path) -> Iterator[study.Cells]:
  """A row for each model: perplexity on plain text, and that of every seed."""
  kept = pd.read_csv(directory / PLAIN_TEXT)
  kept['perplexity'] = np.exp(-kept['log likelihood'] / kept['tokens'])
  for name, rows in kept.groupby(kept['model'].str.split('-').str[0], sort=False):
    yield [_words(str(name)), f'{rows["perplexity"].mean():.2f}', ', '.join(f'{p:.2f}' for p in rows['perplexity'])]


def _numbers(compared: Comparison, model: str) -> study.Cells:
  """Mean accuracy, spread over phrasings, worst phrasing, and pairs of phrasings that lead to the same option, in %."""
  found = [compared.interval(model, GROUP, metric) for metric in _METRICS]
  return [*map(study.interval, found), study.interval(compared.answer_agreement(model, GROUP)['consistency'])]


_HEADS = {
  **wording_tables.HEADS,
  'chosen': ['model', 'seeds', 'all phrasings', 'the best on other examples'],
  'readings': ['ranked by', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'methods': ['model', 'seeds', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'changes': ['', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'perplexity': ['model', 'perplexity', 'by seed'],
  'tuning': study.TUNING_HEAD,
  'votes': ['task', 'examples', 'with a vote', 'right'],
}


def main() -> None:
  out = study.add_what_is_named(__doc__, KEPT)
  if out:
    _keep_plain_text(out / PLAIN_TEXT, KEPT / PLAIN_TEXT)
  runs, record = study.read_each(KEPT)
  found = _by_kind(_of_one_answer(runs))
  tables: dict[str, list[study.Cells]] = {}

  def compare(name: str, models: Mapping[str, Sequence[pd.DataFrame]], apart: Collection[str] = ()) -> Comparison:
    compared = study.compared(models, record)
    tables[f'methods/{name}'] = list(methods(models, compared))
    others = [m for m in models if m.removesuffix(CALIBRATED) not in apart]
    tables[f'changes/{name}'] = list(changes(compared, _pairs(others)))
    return compared

  wide, wide_free = found[WIDE], found[WIDE + CONTENT_FREE]
  frozen, frozen_free = wide[FROZEN], wide_free[FROZEN]
  templates, full = record['instructions'], found[FULL][FROZEN]
  tables['wording'] = list(wording_tables.wording(full, frozen_free, templates))
  tables['spread'] = list(wording_tables.spread(full, templates))
  by_sum, by_mean = (study.compared({FROZEN: [t]}, record) for t in (full, remedies.per_token(full)))
  tables['features'] = list(wording_tables.features_of_wording(by_sum, by_mean, FROZEN))
  tables['choosing'] = list(wording_tables.choosing(full))
  tables['readings'] = list(without_training(frozen, frozen_free, record))
  models = _with_calibrated(wide, wide_free)
  study.draw({name: models[name] for name in _DRAWN}, record, PICTURE)
  listing = {i: wording_tables.stratum(text) for i, text in templates.items()}
  compared = compare('all', models, apart=_LABEL_FREE)
  tables['changes/self taught'] = list(changes(compared, _SELF_TAUGHT))
  tables['changes/without labels'] = list(changes(compared, _WITHOUT_LABELS))
  looked_at = {name: seeds for name, seeds in models.items() if name.removesuffix(CALIBRATED) in _IN_PARTS}
  for part in (*wording_tables.STRATA, *_TRAINED):
    in_part = {
      name: [t[[part in (listing[i], _TRAINED[d in TRAINED]) for i, d in _phrasings(t)]] for t in seeds]
      for name, seeds in looked_at.items()
    }
    compare(part, in_part)
  compare('per token', {name: [*map(remedies.per_token, looked_at[name])] for name in _IN_PARTS})
  first = _with_calibrated(found[''], found[CONTENT_FREE])
  compare('first', first)
  compare('low rate', study.by_model({FROZEN: found[''][FROZEN], **found[LOW_RATE]}))
  compare('elsewhere', study.by_model(found[ELSEWHERE]))
  by_chance = f'{wording_tables.chance(found[ELSEWHERE][FROZEN]):.1f}'
  tables['methods/elsewhere'].append(['an option at random', '–', by_chance, *'–––'])
  tables['chosen'] = list(one_phrasing(first, models, record))
  tables['perplexity'] = list(perplexities(KEPT))
  tables['votes'] = list(voted(str(KEPT / f'{VOTES}{FROZEN}.parquet')))
  by_development = found[DEVELOPMENT][FROZEN]['score'].mean()
  tables['tuning'] = [[FROZEN, f'{100 * by_development:.1f}', '–'], *study.tuning(KEPT)]
  study.write(
    RESULTS,
    'python benchmarks/real_model.py',
    {name: [_HEADS[name.split('/')[0]], *rows] for name, rows in tables.items()},
  )


def _of_one_answer(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
  """Evaluations without the examples that have several right options, of which earlier ones name one; says which these are."""
  # Later evaluations name all of them, and earlier ones are compared with these.
  several = pd.concat([t[remedies.counts_another(t) | (t['also_right'] != '')] for t in runs.values()])
  named = sorted(set(several['dataset'] + ' ' + several['example_id']))
  print(f'left out, since several of their options are right: {", ".join(named) or "none"}')
  return {name: _without(table, several) for name, table in runs.items()}


def _by_kind(runs: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, pd.DataFrame]]:
  """What an evaluation's name has beside the model's -> the model's name -> its table, the frozen model first."""
  found: dict[str, dict[str, pd.DataFrame]] = {kind: {} for kind in _KINDS}
  for name in sorted(runs, key=lambda name: (not name.endswith(FROZEN), name)):
    kind = next(kind for kind in _KINDS if kind in name)
    found[kind][name.replace(kind, '')] = runs[name]
  return found


def _with_calibrated(
  named: Mapping[str, pd.DataFrame], free: Mapping[str, pd.DataFrame]
) -> dict[str, list[pd.DataFrame]]:
  """The seeds of each model together, and behind all of them those whose tables without questions are there, calibrated."""
  calibrated = {name: remedies.calibrated(table, free[name]) for name, table in named.items() if name in free}
  return study.by_model(named) | {name + CALIBRATED: seeds for name, seeds in study.by_model(calibrated).items()}


def _keep_plain_text(found: pathlib.Path, kept: pathlib.Path) -> None:
  parts = [pd.read_csv(path) for path in (kept, found) if path.is_file()]
  if parts:
    pd.concat(parts).drop_duplicates('model', keep='last').to_csv(kept, index=False)


if __name__ == '__main__':
  main()
