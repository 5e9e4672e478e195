"""What the numbers of README and docs come from: values and tables by the names that `benchmarks/claims.yaml` and the
pages give them."""

from __future__ import annotations

import ast
import collections
from collections.abc import Callable, Iterator
import functools
import json
import math
import pathlib
import re
import struct

import calibration
from claims import Page, Table, Value, printed
import claims_costs
import claims_damage
import coverage
import coverage_evalstats
import pandas as pd
import sentencepiece
import stopping
import study

from robust_t5x.models import families
from seqio_tasks.bank import layouts, likeness, reading
from seqio_tasks.bank.reading import Bank
from seqio_tasks.mini import suite

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks/results'
_MINI = ROOT / 'robust_t5x/mini'
# Family of the package's banks -> what its tasks are, in words.
_FAMILIES = {
  'general': 'multiple choice (any subject), yes/no, classification',
  'bbl': 'BIG-bench Lite, and the tasks of "A closer look at instruction robustness" in Sun et al. 2024',
  'bbh': 'BIG-Bench Hard',
  'bigbench': 'six tasks of BIG-bench whose accuracy hangs on the wording',
  'lmentry': 'LMentry',
  'niv2': 'Super-NaturalInstructions',
}


def value(name: str, page: Page) -> Value:
  """The value of a name; KeyError if there is none."""
  kind, _, rest = name.partition('.')
  if kind == 'gin':
    return _setting(rest)
  if kind == 'code':
    return _constant(rest)
  if kind == 'bank':
    return Value(_bank_counts()[rest], 'computed', f'benchmarks/claims_sources.py, {name}')
  if kind == 'results':
    file, _, key = rest.partition('.')
    return _measured(file, key)
  if name == 'coverage.least':
    return Value(_least_coverage(), 'measured', 'benchmarks/results/coverage.csv')
  if name in _DERIVED:
    return Value(_DERIVED[name](page), 'derived', f'benchmarks/claims_sources.py, {name}')
  return Value(_COMPUTED[name](), 'computed', f'benchmarks/claims_sources.py, {name}')


def table(name: str) -> Table:
  """The table of a name; KeyError if there is none."""
  lines, kind, source = _TABLES[name]()
  return Table('\n'.join(lines) + '\n', kind, source)


def _setting(name: str) -> Value:
  """A macro as a file of gin/ sets it: its folder and name, then the macro, as in topologies.gpu-1.BATCH_SIZE."""
  *place, macro = name.split('.')
  path = (ROOT / 'gin').joinpath(*place).with_suffix('.gin')
  found = (
    re.search(rf'^{macro} = ([^#\n]+)', path.read_text(encoding='utf-8'), re.MULTILINE) if path.is_file() else None
  )
  if found is None:
    raise KeyError(name)
  return Value(float(ast.literal_eval(found[1].strip())), 'computed', str(path.relative_to(ROOT)))


def _constant(name: str) -> Value:
  """A constant of a module, by both names."""
  module, _, constant = name.rpartition('.')
  path = ROOT.joinpath(*module.split('.')).with_suffix('.py')
  found = (
    re.search(rf'^{constant} = ([\d_.]+)', path.read_text(encoding='utf-8'), re.MULTILINE) if path.is_file() else None
  )
  if found is None:
    raise KeyError(name)
  return Value(float(found[1]), 'computed', str(path.relative_to(ROOT)))


def _lmentry_tasks() -> float:
  """The tasks that `robust-t5x eval lmentry` asks."""
  found = re.search(
    r'^TASKS = (\[.*?\])', (ROOT / 'gin/recipes/eval/lmentry.gin').read_text(encoding='utf-8'), re.M | re.S
  )
  assert found is not None
  return len(ast.literal_eval(found[1]))


def _measured(file: str, key: str) -> Value:
  path = RESULTS / f'{file}.json'
  found = json.loads(path.read_text(encoding='utf-8'))
  if 'values' in found:
    return Value(found['values'][key], 'measured', str(path.relative_to(ROOT)))
  for part in key.split('.'):  # what a benchmark writes as it likes: names of fields and places in lists
    found = found[int(part)] if isinstance(found, list) else found[part]
  return Value(float(found), 'measured', str(path.relative_to(ROOT)))


@functools.cache
def _package() -> Bank:
  return reading.read_banks(['package'])


@functools.cache
def _everything() -> Bank:
  return reading.read_banks(['package', *map(str, reading.package_files('mini'))])


@functools.cache
def _bank_counts() -> dict[str, float]:
  """Phrasings by collection, by family and role, of a family in all, and tasks of a family."""
  counts: collections.Counter[str] = collections.Counter()
  tasks = collections.defaultdict(set)
  for i in _everything():
    family = i.collection.split('_')[0]
    counts[i.collection] += 1
    counts[f'{family}.{i.role}'] += 1
    counts[family] += 1
    tasks[family].add(i.task)
  counts['mini_paraphrases.all'] = sum(
    n for name, n in counts.items() if name in ('mini_paraphrases', 'mini_paraphrases_more')
  )
  by_task = collections.Counter((i.task, i.collection) for i in _everything())
  for family in ('mini_tuning', 'mini_heldout', 'mini_reported', 'mini_alignment', 'mini_development'):
    counts[f'{family}.a_task'] = max(n for (_, collection), n in by_task.items() if collection == family)
  role_of_task = collections.Counter((i.task, i.role) for i in _package())
  least = [n for (_, role), n in role_of_task.items() if role == 'alignment']
  counts['alignment.least_a_task'], counts['alignment.most_a_task'] = min(least), max(least)
  counts['package'] = len(_package())
  a_task = {
    'mini_paraphrases.a_task': counts['mini_paraphrases.all'] / len(suite.TASKS),
    'mini_development_more.a_task': counts['mini_development_more'] / len(suite.TASKS),
  }
  return dict(counts) | a_task | {f'{family}.tasks': len(names) for family, names in tasks.items()}


def _bank_table() -> tuple[list[str], str, str]:
  counts = _bank_counts()
  lines = ['| collection | tasks | number of tasks | evaluation | alignment |', '|---|---|---|---|---|']
  for family, words in _FAMILIES.items():
    numbers = (counts[f'{family}.{what}'] for what in ('tasks', 'evaluation', 'alignment'))
    lines.append(f'| `{family}_…` | {words} | ' + ' | '.join(f'{n:.0f}' for n in numbers) + ' |')
  return lines, 'computed', 'the banks'


def _likeness_row(words: str, found: likeness.Distribution) -> str:
  quantiles = ' | '.join(f'{q:.2f}' for q in found.quantiles)
  shares = ' | '.join(f'{n / found.phrasings:.0%}' for n in found.at_least)
  return f'| {words} | {found.phrasings} | {quantiles} | {shares} |'


def _likeness_head(words: str) -> list[str]:
  shares = ' | '.join(f'{share} or more' for share in likeness.SHARES)
  return [f'| {words} | number | median | 90% | most | {shares} |', '|---' * (words.count('|') + 8) + '|']


def _likeness_table() -> tuple[list[str], str, str]:
  lines = _likeness_head('phrasings | nearest among')
  for (collection, against), found in _likeness().items():
    lines.append(_likeness_row(f'`{collection}` | {against}', found))
  return lines, 'computed', '`robust-t5x tasks validate seqio_tasks/banks`'


@functools.cache
def _likeness() -> dict[tuple[str, str], likeness.Distribution]:
  return likeness.to_trained(_everything())


def _published_likeness_table() -> tuple[list[str], str, str]:
  path = RESULTS / 'likeness_lmentry.csv'
  rows = pd.read_csv(path)
  lines = _likeness_head('published phrasings of | nearest among')
  for row in rows.itertuples():
    found = likeness.Distribution(row.phrasings, (row.median, row.high, row.most), (row.half, row.near, row.very_near))
    lines.append(_likeness_row(f'{row.task} | {row.against}', found))
  return lines, 'measured', str(path.relative_to(ROOT))


def _coverage_table(number: int) -> tuple[list[str], str, str]:
  path = RESULTS / 'coverage.csv'
  columns, rows = list(coverage.tables(pd.read_csv(path, index_col='design')))[number]
  return coverage.markdown(columns, rows), 'measured', str(path.relative_to(ROOT))


def _evalstats_table(number: int) -> tuple[list[str], str, str]:
  path = RESULTS / 'coverage_evalstats.csv'
  ours, theirs = (pd.read_csv(p, index_col='design') for p in (RESULTS / 'coverage.csv', path))
  columns, rows = list(coverage_evalstats.tables(ours, theirs))[number]
  return coverage.markdown(columns, rows), 'measured', str(path.relative_to(ROOT))


def _calibration_table(part: str) -> tuple[list[str], str, str]:
  path = RESULTS / f'calibration_{part}.csv'
  return calibration.markdown(pd.read_csv(path, index_col='design')), 'measured', str(path.relative_to(ROOT))


def _stopping_table(part: str) -> tuple[list[str], str, str]:
  path = RESULTS / f'stopping_{part}.csv'
  return stopping.markdown(pd.read_csv(path, index_col='design')), 'measured', str(path.relative_to(ROOT))


def _least_coverage() -> float:
  """The least share, in percent, of all intervals of coverage.csv."""
  table = pd.read_csv(RESULTS / 'coverage.csv', index_col='design')
  return 100 * float(table[[c for c in table if 'p <' not in c and c not in coverage.PEERS]].min().min())


def _sizes(path: pathlib.Path) -> int:
  """Numbers in a safetensors file, by its header."""
  with path.open('rb') as f:
    header = json.loads(f.read(struct.unpack('<Q', f.read(8))[0]))
  return sum(math.prod(entry['shape']) for name, entry in header.items() if name != '__metadata__')


def _config(key: str) -> float:
  return float(json.loads((_MINI / 'config.json').read_text(encoding='utf-8'))[key])


def _adapter_values(**settings: int) -> float:
  """Numbers that an adapter of the bundled model has, by the formulas of docs/objectives.md."""
  width, heads, head = _config('d_model'), _config('num_heads'), _config('d_kv')
  encoder, decoder = _config('num_layers'), _config('num_decoder_layers')
  if 'prefix' in settings:
    return encoder * heads * (2 * settings['prefix'] * head + 1)
  attentions = encoder + 2 * decoder
  return 2 * attentions * settings['rank'] * (width + heads * head)


def _pieces() -> float:
  return float(sentencepiece.SentencePieceProcessor(model_file=str(_MINI / 'spiece.model')).get_piece_size())


_COMPUTED: dict[str, Callable[[], float]] = {
  'mini.tasks': lambda: len(suite.TASKS),
  'mini.parameters': lambda: _sizes(_MINI / 'model.safetensors'),
  'mini.millions': lambda: _sizes(_MINI / 'model.safetensors') / 1e6,
  'mini.adapter_values': lambda: _sizes(_MINI / 'adapter.safetensors'),
  'mini.lora_8_values': lambda: _adapter_values(rank=8),
  'mini.prefix_16_values': lambda: _adapter_values(prefix=16),
  'mini.prompt_values': lambda: 16 * _config('d_model'),
  'mini.width': lambda: _config('d_model'),
  'mini.heads': lambda: _config('num_heads'),
  'mini.head': lambda: _config('d_kv'),
  'mini.mlp': lambda: _config('d_ff'),
  'mini.pieces': _pieces,
  'llama_8b.heads': lambda: families.config('llama_3_1', '8b').num_heads,
  'llama_8b.pairs': lambda: families.config('llama_3_1', '8b').num_kv_heads,
  'lmentry.tasks': _lmentry_tasks,
  'styles': lambda: len(layouts.STYLES),
  'likeness.heldout_near': lambda: _likeness()['mini_heldout', 'alignment'].at_least[1],
}


def _cells(text: str, heading: str) -> Iterator[dict[str, str]]:
  """The rows of the first table behind a heading or a text, by the names of the columns."""
  rows = re.search(r'(?:^\|.*\n)+', text[text.index(heading) :], re.MULTILINE)
  assert rows is not None, heading
  names, _, *lines = ([cell.strip() for cell in line.strip('|').split('|')] for line in rows[0].splitlines())
  for line in lines:
    yield dict(zip(names, line, strict=True))


def _results_file(name: str) -> tuple[pathlib.Path, dict[str, float]]:
  path = RESULTS / name
  return path, json.loads(path.read_text(encoding='utf-8'))['values']


def _minus(number: float, places: int, sign: bool = False) -> str:
  return f'{number:{"+" if sign else ""}.{places}f}'.replace('-', '−')


def _interval(values: dict[str, float], name: str, unit: str = '', sign: bool = False) -> str:
  estimate, low, high = values[name], values[f'{name}.low'], values[f'{name}.high']
  return f'{_minus(estimate, 1, sign)}{unit} [{_minus(low, 1)}, {_minus(high, 1)}]'


def _bundled_table() -> tuple[list[str], str, str]:
  path, values = _results_file('bundled.json')
  lines = [
    '| | observed | unobserved | gap, points | sd over unobserved | worst unobserved | reported |',
    '|---|---|---|---|---|---|---|',
  ]
  for name, words in (('before', 'without adapter'), ('after', 'bundled adapter')):
    cells = [_interval(values, f'mini.{name}.{group}', '%') for group in ('observed', 'unobserved')]
    cells += [
      _interval(values, f'mini.{name}.gap'),
      f'{values[f"mini.{name}.sd"]:.1f}',
      f'{values[f"mini.{name}.worst"]:.1f}%',
      _interval(values, f'mini.{name}.reported', '%'),
    ]
    lines.append(f'| {words} | ' + ' | '.join(cells) + ' |')
  changes = [_interval(values, f'mini.change.{what}', sign=True) for what in ('observed', 'unobserved', 'gap')]
  lines.append(
    '| change | ' + ' | '.join([*changes, '', '', _interval(values, 'mini.change.reported', sign=True)]) + ' |'
  )
  return lines, 'measured', str(path.relative_to(ROOT))


def _lmentry_table() -> tuple[list[str], str, str]:
  path, values = _results_file('bundled.json')
  columns = {
    'flan-t5-small': 'Flan-T5 small', 'flan-t5-base': 'base', 'flan-t5-large': 'large', 'flan-t5-xl': 'XL', 'flan-t5-xxl': 'XXL',
    'before': 'ours, without adapter', 'after': 'bundled adapter',
  }  # fmt: skip
  lines = ['| CPS of | phrasings | ' + ' | '.join(columns.values()) + ' |', '|---' * (len(columns) + 2) + '|']
  for task in ('first_alphabetically', 'less_letters', 'more_letters', 'word_before'):
    for which, words in (('', 'all'), ('.far', 'far')):
      numbers = ' | '.join(f'{values[f"lmentry.{name}{which}.{task}"]:.3f}' for name in columns)
      lines.append(f'| {task} | {words} {values[f"lmentry.{words}.{task}"]:.0f} | {numbers} |')
  return lines, 'measured', str(path.relative_to(ROOT))


def _study_table(study_name: str, name: str) -> tuple[list[str], str, str]:
  """A table of benchmarks/alignment.py or benchmarks/real_model.py."""
  path = RESULTS / f'{study_name}.json'
  return study.table(path, name).splitlines(), 'measured', str(path.relative_to(ROOT))


def _readme_table() -> tuple[list[str], str, str]:
  """The main comparison of docs/results.md, in the words of the README."""
  words = {
    'without adapter': 'without adapter',
    'aligned': "aligned: trained so that the decoder's states under any phrasing match the frozen model's under an observed one",
    'likelihood': 'trained on the right answers instead, same batches',
    'soft prompt': "the paper's own remedy on the same batches: a soft prompt of 16 vectors, half likelihood, half KL between phrasings",
  }
  path = RESULTS / 'alignment.json'
  _, *rows = json.loads(path.read_text(encoding='utf-8'))['tables']['methods']
  head = ['model that comes with the package', 'observed phrasings, %', 'reported phrasings, %', 'gap, points']
  shown = [[words[row[0]], *row[2:5]] for row in rows if row[0] in words]
  return study.markdown(head, shown).splitlines(), 'measured', str(path.relative_to(ROOT))


_TABLES: dict[str, Callable[[], tuple[list[str], str, str]]] = {
  'banks': _bank_table,
  'likeness': _likeness_table,
  'likeness_lmentry': _published_likeness_table,
  'bundled': _bundled_table,
  'lmentry': _lmentry_table,
  'prompteval': claims_costs.prompteval_table,
  'coverage_means': functools.partial(_coverage_table, 0),
  'coverage_phrasings': functools.partial(_coverage_table, 1),
  'coverage_cells': functools.partial(_coverage_table, 2),
  'stopping_designs': functools.partial(_stopping_table, 'designs'),
  'stopping_tables': functools.partial(_stopping_table, 'tables'),
  'coverage_peers': functools.partial(_coverage_table, 3),
  'coverage_peer_tests': functools.partial(_coverage_table, 4),
  'coverage_evalstats': functools.partial(_evalstats_table, 0),
  'coverage_evalstats_tests': functools.partial(_evalstats_table, 1),
  **{f'calibration_{part}': functools.partial(_calibration_table, part) for part in calibration.PARTS},
  'evaluation_cost': claims_costs.evaluation_cost_table,
  'padding': claims_costs.padding_table,
  'input_pipeline': claims_costs.pipeline_table,
  'decoder_peers': claims_costs.made_by('decoder_peers', 'decoder_peers.json'),
  'prefix_counted': claims_costs.made_by('prefix_sharing', 'prefix_sharing.json', 'counted_table'),
  'prefix_timed': claims_costs.made_by('prefix_sharing', 'prefix_sharing.json', 'timed_table'),
  'step_cost': claims_costs.made_by('step_cost', 'step_cost.jsonl'),
  'plan_decoders': claims_costs.made_by('plan_table', 'plan.jsonl', 'decoders_table'),
  'plan_study': claims_costs.made_by('plan_table', 'plan.jsonl', 'study_table'),
  **{
    f'real_{kind}{suffix}': functools.partial(_study_table, 'real_model', f'{kind}/{part}')
    for kind in ('methods', 'changes')
    for suffix, part in (
      ('', 'all'),
      ('_listed', 'listed'),
      ('_not_listed', 'not listed'),
      ('_trained', 'trained tasks'),
      ('_other', 'other tasks'),
      ('_first', 'first'),
      ('_elsewhere', 'elsewhere'),
      ('_low_rate', 'low rate'),
    )
  },
  'real_changes_per_token': functools.partial(_study_table, 'real_model', 'changes/per token'),
  'real_changes_self_taught': functools.partial(_study_table, 'real_model', 'changes/self taught'),
  'real_changes_without_labels': functools.partial(_study_table, 'real_model', 'changes/without labels'),
  **{
    f'real_{name}': functools.partial(_study_table, 'real_model', name)
    for name in ('wording', 'spread', 'features', 'choosing', 'readings', 'chosen', 'tuning', 'perplexity', 'votes')
  },
  'readme': _readme_table,
  **{
    f'alignment_{name}': functools.partial(_study_table, 'alignment', name)
    for name in ('methods', 'changes', 'seeds', 'tasks', 'tuning', 'lmentry', 'lmentry_changes')
  },
  'data_layer': claims_costs.made_by('data_layer', 'data_layer.json'),
  'fuzz': claims_damage.fuzz_table,
  'kills': claims_damage.kills_table,
  'mutation': claims_damage.mutation_table,
  'scaling': claims_costs.made_by('scaling', 'scaling.json'),
  'scaling_memory': claims_costs.made_by('scaling', 'scaling_memory.json'),
}


def _published_gaps() -> list[float]:
  text = (ROOT / 'docs/published.md').read_text(encoding='utf-8')
  cells = (row['gap'] for row in _cells(text, '## Observed and unobserved'))
  return [printed(cell.split()[0])[0] for cell in cells]


# What the pages conclude from numbers of their own tables.
_DERIVED: dict[str, Callable[[Page], float]] = {
  'canonical.saves_2': lambda page: (
    100 * (1 - claims_costs.step(2, False)['flops'] / claims_costs.step(2, True)['flops'])
  ),
  'canonical.saves_4': lambda page: (
    100 * (1 - claims_costs.step(4, False)['flops'] / claims_costs.step(4, True)['flops'])
  ),
  'canonical.saves_8': lambda page: (
    100 * (1 - claims_costs.step(8, False)['flops'] / claims_costs.step(8, True)['flops'])
  ),
  'canonical.memory_trains': lambda page: claims_costs.step(4, True)['activation_bytes'] / 2**20,
  'canonical.memory_fixed': lambda page: claims_costs.step(4, False)['activation_bytes'] / 2**20,
  'pipeline.most_cores': lambda page: math.ceil(max(step['cores'] for step in claims_costs.pipeline_steps())),
  'evaluation.decoder_share': lambda page: claims_costs.decoder_share(),
  'step.slopes_differ': lambda page: claims_costs.slopes_differ(),
  'published.least_gap': lambda page: min(_published_gaps()),
  'published.greatest_gap': lambda page: max(_published_gaps()),
}
