"""Looks at tasks and instruction banks.

`robust-t5x tasks list --gin_file=gin/tasks/mmlu.gin --MMLU_DIR=DIR` lists tasks and mixtures, `show TASK` prints
examples as a model sees them, `stats TASK` warns of what would spoil an evaluation, `validate PATH` checks bank files,
`render` fills a bank's layouts in with items from a file, `paraphrase` has a model draft phrasings, `perturb` writes
perturbed ones, and `export` writes tasks for another program.
"""

import argparse
import collections
from collections.abc import Iterator, Mapping, Sequence
import fnmatch
import json
import os
import shutil
import sys
from typing import Any

from robust_t5x.results.scorers import SCORERS
from robust_t5x.runtime import errors, gin_files, launcher, quiet
from seqio_tasks import datasets, framing, tables
from seqio_tasks.bank.instruction import PERTURBATIONS
from seqio_tasks.errors import UserError, shorten
from seqio_tasks.pipeline import registration

_EXAMPLES_TO_JUDGE = 20  # fewer tell nothing about the balance of labels
# What a run gives room for unless it says otherwise; gin/runs/shared/ has the same.
_LENGTHS = {'inputs': 512, 'targets': 16}
_DRAFTING = (
  'A served model: --gin_file=gin/runs/paraphrase_endpoint.gin --ENDPOINT=URL --MODEL_NAME=NAME. A loaded one: '
  '--gin_file=gin/runs/paraphrase.gin and a file each of gin/models/ and gin/topologies/. Then'
)


def validate(paths: Sequence[str], vocabulary: Any = None) -> str:
  """Checks bank files and directories of them, as one bank.

  Returns:
    a line for each collection and role with the number of phrasings, and how near the measured phrasings come to those
    that are trained on or chosen on.

  Raises:
    BankError: with every fault.
  """
  from seqio_tasks.bank import likeness, reading

  files = [str(f) for p in paths for f in (tables.entries(p, '*.yaml') if os.path.isdir(p) else [p])]
  read = reading.validate(files, vocabulary=vocabulary)
  counts = collections.Counter((i.collection, i.role) for i in read)
  lines = [f'{len(read)} phrasings of {len(read.tasks)} tasks in {len(files)} files, no fault']
  lines += [f'  {n:6}  {collection}, {role}' for (collection, role), n in counts.items()]
  few = sum(i.layout.few_shot is not None for i in read)
  if few:
    lines.append(f'  {few:6}  with a few-shot form of their own')
  near = likeness.to_trained(read)
  if near:
    lines.append(likeness.HEADING)
    lines += [likeness.describe(collection, against, d) for (collection, against), d in near.items()]
  return '\n'.join(lines)


def render(bank_paths: Sequence[str], requests: str, out: str) -> tuple[int, int]:
  """Fills layouts in with the items of a JSON Lines file.

  A request has dataset, instruction_id (the bank's id or the source's), shots and item, and examples if shots is above
  0. The answer to it is the request with input_text, output_text and label_space, or with error.

  Args:
    bank_paths: bank files or directories.
    requests: the file of requests.
    out: the file of answers, a line for each request.

  Returns:
    how many requests were rendered, and how many were not.

  Raises:
    BankError: if the bank is faulty.
    TableError: if the requests cannot be read.
  """
  from robust_t5x.runtime import files as files_lib
  from seqio_tasks.bank import reading

  known: dict[tuple[str, str], Any] = {}
  for instruction in reading.read_banks(bank_paths):
    for name in (instruction.source, instruction.id, instruction.key):
      known.setdefault((instruction.task, name), instruction)
  lines, failed = [], 0
  for number, text in enumerate(tables.read_text(requests).split('\n'), start=1):
    if not text.strip():
      continue
    request: dict[str, Any] = {}
    try:
      value = _object(text)
      request = {k: v for k, v in value.items() if k not in ('input_text', 'output_text', 'label_space', 'error')}
      rendered = _render(known, request)
      answer = request | rendered._asdict()
    except UserError as e:
      failed += 1
      answer = request | {'error': f'line {number}: {e}'}
    lines.append(json.dumps(answer, ensure_ascii=False))
  files_lib.write_atomically(out, ''.join(line + '\n' for line in lines))
  return len(lines) - failed, failed


def perturb(bank_paths: Sequence[str], kinds: Sequence[str], seed: int, out: str) -> list[str]:
  """Writes the evaluation phrasings of a bank with perturbations, a bank file for each collection.

  Args:
    bank_paths: bank files or directories.
    kinds: some of bank.instruction.PERTURBATIONS.
    seed: of what is chosen.
    out: directory for the files.

  Returns:
    a line for each kind, and where they are.

  Raises:
    BankError: if the bank is faulty.
    UserError: for a kind that there is not, or if no phrasing has the role evaluation.
  """
  from robust_t5x.runtime import files as files_lib
  from seqio_tasks.bank import perturbations, reading, schema

  bank = [i for i in reading.read_banks(bank_paths) if i.role == 'evaluation']
  made = perturbations.perturbed(bank, kinds, seed)
  if not made:
    raise UserError(
      f'{", ".join(bank_paths)}: no phrasing with the role evaluation has anything to perturb; name another --bank'
    )
  os.makedirs(out, exist_ok=True)
  for collection in dict.fromkeys(i.collection for i in made):
    members = [i for i in made if i.collection == collection]
    heading = f'# Perturbed phrasings, seed {seed}; the source of each is the id of the unperturbed one.\n'
    text = heading + schema.file_text('perturbed', members, collection=collection)
    files_lib.write_atomically(os.path.join(out, f'{collection}_perturbed.yaml'), text)
  counts = collections.Counter(i.role for i in made)
  return [f'{counts[kind]:6} of {len(bank)} phrasings  {kind}' for kind in dict.fromkeys(kinds)] + [f'wrote {out}']


def _object(text: str) -> dict[str, Any]:
  """The object of a line of JSON; UserError for another thing."""
  try:
    value = tables.parse_json(text)
  except ValueError as e:
    raise UserError(str(e)) from e
  if not isinstance(value, dict):
    raise UserError('it is no JSON object')
  return value


def _render(known: Mapping[tuple[str, str], Any], request: Mapping[str, Any]) -> Any:
  for key, kind in (('dataset', str), ('instruction_id', str), ('item', dict)):
    if not isinstance(request.get(key), kind):
      raise UserError(f'{key!r} is {request.get(key)!r}; it must be of the type {kind.__name__}')
  instruction = known.get((request['dataset'], request['instruction_id']))
  if instruction is None:
    tasks = {task for task, _ in known}
    if request['dataset'] not in tasks:
      raise UserError(f'the bank has no dataset {request["dataset"]!r}; it has {", ".join(sorted(tasks))}')
    raise UserError(f'the bank has no instruction {request["instruction_id"]!r} for {request["dataset"]}')
  shots = request.get('shots', 0)
  examples = request.get('examples') or []
  if not isinstance(examples, list) or not all(isinstance(example, dict) for example in examples):
    raise UserError("'examples' must be a list of objects")
  if type(shots) is not int or shots < 0 or len(examples) < shots:
    raise UserError(f"'shots' is {shots!r} and there are {len(examples)} examples; give as many examples")
  for item in (request['item'], *examples[:shots]):
    _check_item(item)
  return instruction.layout.render(request['item'], examples[:shots])


def _check_item(item: Mapping[str, Any]) -> None:
  """UserError for what layouts take as given of an item, and a stranger may leave out."""
  if 'answer' not in item:
    raise UserError(f"an item has no 'answer', only {', '.join(map(repr, item)) or 'nothing'}; give the right one")
  for name in ('options', 'alternatives'):
    texts = item.get(name, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
      raise UserError(f'{name!r} of an item is {shorten(repr(texts))}; give a list of texts')
  index = item.get('answer_index')
  if index is not None and not (type(index) is int and 0 <= index < len(item.get('options', []))):
    raise UserError(f"'answer_index' of an item is {index!r}; give the place of the answer among the options, from 0")


def show(name: str, count: int, vocabulary: Any, split: str | None = None) -> Iterator[str]:
  """Examples of a task or mixture as a model sees them, one after the other, a text each.

  Raises:
    launcher.UsageError: if there is no such task or split.
  """
  for number, row in enumerate(_rows(name, split)):
    if number == count:
      return
    inputs = row['inputs_pretokenized']
    texts = [inputs] if isinstance(inputs, str) else list(inputs)
    tokens = row['inputs'] if row['inputs'].ndim == 2 else row['inputs'][None]
    lines = [f'--- {row["task"]}, example {row.get("example_id", number)} {row.get("instruction_id", "")}'.rstrip()]
    for text, ids, cut in zip(texts, tokens, _as_list(row.get('truncated_tokens', 0)), strict=False):
      own = ids[ids != vocabulary.pad_id].tolist()
      lines.append(f'input ({len(own)} tokens{f", {cut} more are cut off" if cut else ""}):')
      read = framing.visible(vocabulary, own) if isinstance(vocabulary, framing.Framing) else text
      lines += ['  ' + line for line in read.split('\n')]
    lines.append(f'target ({len(row["targets"])} tokens): {row["targets_pretokenized"]!r}')
    if row.get('options') not in (None, '[]'):
      options = json.loads(row['options'])
      lengths = [len(encoded.ids) for encoded in framing.answers(vocabulary, options)]
      counted = ', '.join(f'{o!r} ({n})' for o, n in zip(options, lengths, strict=True))
      lines.append(f'options (tokens): {counted}')
    yield '\n'.join(lines)


def stats(name: str, limit: int, vocabulary: Any, split: str | None = None) -> tuple[list[str], list[str]]:
  """What the examples of a task or mixture are like.

  Args:
    name: of the task or mixture.
    limit: most rows that are read.
    vocabulary: of the task.
    split: by default the first one that it has.

  Returns:
    lines that describe it, and warnings: of truncation, of phrasings or options that tokenise alike and of unequal labels.
  """
  lengths, targets = [], []
  cut = rows = tied = 0
  labels: collections.Counter[str] = collections.Counter()
  by_options: dict[str, dict[str, str]] = collections.defaultdict(dict)  # options -> example -> right one
  seen: dict[tuple[str, tuple[int, ...]], str] = {}
  alike: set[tuple[str, str]] = set()
  for row in _rows(name, split):
    if rows == limit:
      break
    rows += 1
    ids = row['inputs'] if row['inputs'].ndim == 2 else row['inputs'][None]
    lengths += [int((i != vocabulary.pad_id).sum()) for i in ids]
    targets.append(len(row['targets']))
    cuts = sum(c > 0 for c in _as_list(row.get('truncated_tokens', 0)))
    cut += cuts
    labels[row['targets_pretokenized']] += 1
    if row.get('options', '[]') != '[]':
      options = json.loads(row['options'])
      tied += len({tuple(encoded.ids) for encoded in framing.answers(vocabulary, options)}) < len(options)
      by_options[row['options']][row['task'] + row['example_id']] = row['targets_pretokenized']
    if 'instruction_id' in row and not cuts:  # what was cut off may have been the difference
      key = row['example_id'], tuple(ids[0].tolist())
      other = seen.setdefault(key, row['instruction_id'])
      if other != row['instruction_id']:
        alike.add((other, row['instruction_id']))
  if not rows:
    raise errors.UsageError(f'{name} has no examples')
  import numpy as np

  quantiles = np.quantile(lengths, [0.5, 0.95, 1.0]).astype(int)
  lines = [
    f'{name}: {rows}{" or more" if rows == limit else ""} rows',
    f'  input tokens: median {quantiles[0]}, 95% {quantiles[1]}, most {quantiles[2]}',
    f'  target tokens: most {max(targets)}',
    '  most frequent targets: ' + ', '.join(f'{t[:30]!r} {n / rows:.1%}' for t, n in labels.most_common(6)),
  ]
  warnings = []
  if cut:
    warnings.append(f'{cut} of {len(lengths)} inputs are longer than {_LENGTHS["inputs"]} tokens and are cut')
  too_long = sum(tokens - 1 > _LENGTHS['targets'] for tokens in targets)
  if too_long:
    warnings.append(
      f'{too_long} of {rows} right answers have more than {_LENGTHS["targets"]} tokens, which is what a run gives an output '
      "room for; set TASK_FEATURE_LENGTHS, its 'targets', or such an answer cannot be given"
    )
  if tied:
    warnings.append(f'{tied} of {rows} rows have options that are the same to the vocabulary; ranked, they tie')
  for first, second in sorted(alike):
    warnings.append(f'{first} and {second} are the same to the vocabulary')
  for options, examples in by_options.items():
    label, count = collections.Counter(examples.values()).most_common(1)[0]
    share, fair = count / len(examples), 1 / len(json.loads(options))
    if len(examples) >= _EXAMPLES_TO_JUDGE and share > 1.5 * fair:
      warnings.append(
        f'of {options}, {label!r} is right in {share:.1%} of examples, where even labels would be in {fair:.1%}'
      )
  return lines, warnings


def _of_readings() -> list[str]:
  """Which rows and phrasings of the sources that were read could not be used, and which examples ask the same as another."""
  readings = datasets.readings().items()
  return (
    [
      f'{where}: {entry["rows"]} left out, {reading["used"]} used ({reason}); the first: {entry["first"]}'
      for where, reading in readings
      for reason, entry in reading['left_out'].items()
    ]
    + [
      f'{reading["doubled"]["rows"]} of {reading["used"]} examples ask the same as an earlier one; the first: '
      f'{reading["doubled"]["first"]}'
      for _, reading in readings
      if 'doubled' in reading
    ]
    + [
      f'{where}: {reading["seen"]["rows"]} of {reading["used"]} unobserved phrasings have the words of an observed one; the first: '
      f'{reading["seen"]["first"]}'
      for where, reading in readings
      if 'seen' in reading
    ]
    + [
      f'{reading["unserved"]["rows"]} phrasings do not fit the data and are left out; the first: {reading["unserved"]["first"]}'
      for _, reading in readings
      if 'unserved' in reading
    ]
  )


def cache(names: Sequence[str], out: str, pipeline_options: Sequence[str] = ()) -> list[str]:
  """Writes SeqIO's cache of tasks, as `seqio_cache_tasks` does, with Beam.

  Evaluation tasks are cached as tokens; alignment and tuning tasks as texts, since their phrasings are drawn anew in
  every epoch. Readers name the directory with --seqio_additional_cache_dirs and set USE_CACHED_TASKS.

  Args:
    names: of registered tasks or mixtures.
    out: directory of the cache.
    pipeline_options: of Beam, such as "--direct_num_workers=4".

  Returns:
    the directories that were written; tasks that are in the cache already are not among them.

  Raises:
    launcher.UsageError: if a name is unknown, or Beam is not installed.
  """
  import seqio

  unknown = [n for n in names if n not in seqio.TaskRegistry.names() and n not in seqio.MixtureRegistry.names()]
  if unknown:
    raise errors.UsageError(f'no task or mixture {unknown[0]}{errors.nearest(unknown[0], _all_names())}')
  try:
    from absl import flags
    import apache_beam as beam
    from seqio.scripts import cache_tasks_main
  except ImportError as e:
    raise errors.UsageError(
      f"caching needs Beam ({e}); pip install apache-beam google-crc32c 'sentencepiece<0.2.2' (newer ones need a newer "
      'protobuf than Beam)'
    ) from e
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(['seqio_cache_tasks'])
  tasks = {t.name: t for n in names for t in seqio.get_subtasks(seqio.get_mixture_or_task(n))}
  seqio.add_global_cache_dirs([out])
  with beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(list(pipeline_options))) as pipeline:
    return cache_tasks_main.run_pipeline(pipeline, list(tasks), out)


def export(
  names: Sequence[str], out: str, scorer: str, split: str, network: str, max_output: int, vocabulary: Any
) -> None:
  """Writes tasks for lm-evaluation-harness; see evaluation.lm_eval_tasks.

  Args:
    names: of registered evaluation mixtures or tasks.
    out: directory that they go to.
    scorer: name of one of results.scorers.SCORERS.
    split: of the tasks.
    network: 'encoder_decoder' or 'decoder', what will be evaluated.
    max_output: most tokens of an output.
    vocabulary: of the tasks.

  Raises:
    UserError: if there is no such mixture or scorer, or options cannot be ranked.
  """
  from robust_t5x.evaluation import lm_eval_tasks

  if scorer not in SCORERS or scorer == 'paper_logits':
    raise errors.UsageError(
      f'--scorer: {scorer!r} is none of {", ".join(name for name in SCORERS if name != "paper_logits")}'
    )
  tasks = {n: [registration.evaluation_task(task) for task in registration.evaluation_tasks(n)] for n in names}
  end_id = vocabulary.eos_id
  if isinstance(vocabulary, framing.Framing):
    end, delimiter = vocabulary.show([end_id]), ' '
  elif network == 'decoder':  # of a vocabulary that is not known here
    end, delimiter = '', ' '
  else:
    end, delimiter = vocabulary.tokenizer.id_to_piece(end_id), ''
  lm_eval_tasks.export(tasks, out, SCORERS[scorer], split, end, delimiter, max_output)


def _all_names() -> list[str]:
  import seqio

  return [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]


def _rows(name: str, split: str | None) -> Iterator[dict[str, Any]]:
  import seqio

  if name not in seqio.TaskRegistry.names() and name not in seqio.MixtureRegistry.names():
    raise errors.UsageError(f'no task or mixture {name}{errors.nearest(name, _all_names())}')
  tasks = seqio.get_subtasks(seqio.get_mixture_or_task(name))
  splits = set.intersection(*({*task.splits} for task in tasks))
  split = split or next((s for s in ('test', 'validation', *sorted(splits)) if s in splits), '')
  if split not in splits:
    raise errors.UsageError(f'{name} has no split {split!r}, only {", ".join(sorted(splits))}')
  # A mixture would drop the texts, which no model needs; its tasks take turns instead.
  iterators = [_task_rows(task, split) for task in tasks]
  while iterators:
    for iterator in list(iterators):
      row = next(iterator, None)
      if row is None:
        iterators.remove(iterator)
      else:
        yield row


def _task_rows(task: Any, split: str) -> Iterator[dict[str, Any]]:
  with quiet.stderr_muted():
    iterator = task.get_dataset(
      {'inputs': _LENGTHS['inputs']}, split=split, shuffle=False, num_epochs=1
    ).as_numpy_iterator()
  for row in iterator:
    yield {k: _decoded(v) for k, v in row.items()} | {'task': task.name}


def _decoded(value: Any) -> Any:
  if isinstance(value, bytes):
    return value.decode('utf-8')
  if getattr(getattr(value, 'dtype', None), 'kind', '') == 'O':
    return [v.decode('utf-8') for v in value]
  return value


def _as_list(value: Any) -> list[int]:
  return [int(value)] if getattr(value, 'ndim', 0) == 0 else [int(v) for v in value]


def _parser() -> argparse.ArgumentParser:
  parser = errors.Parser(
    prog='robust-t5x tasks', description=__doc__.splitlines()[0], allow_abbrev=False,
    epilog='list, show, stats, paraphrase, cache and export take --gin_file and --NAME=VALUE as robust-t5x eval does; gin/tasks/ has the files; without one, the mini suite is looked at.',
  )  # fmt: skip
  actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')

  def action(name: str, about: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=about, description=about, allow_abbrev=False)

  listing = action('list', 'names the tasks and mixtures')
  listing.add_argument('--match', default='*', metavar='PATTERN', help='only names that fit, such as "*_eval_*"')
  showing = action('show', 'prints examples as a model sees them')
  showing.add_argument('task', metavar='TASK')
  showing.add_argument('--n', type=int, default=3, metavar='N', help='how many')
  statistics = action('stats', 'describes the rows of a task and warns of what would spoil an evaluation')
  statistics.add_argument('task', metavar='TASK')
  statistics.add_argument('--limit', type=int, default=20_000, metavar='N', help='most rows that are read')
  for sub in (showing, statistics):
    sub.add_argument('--split', metavar='SPLIT')
  checking = action('validate', 'checks bank files')
  checking.add_argument('path', nargs='+', metavar='PATH', help='bank files or directories of them')
  filling = action('render', 'fills a bank in with items from a file')
  filling.add_argument('--bank', required=True, action='append', metavar='PATH', help='repeatable; "package" for ours')
  filling.add_argument('--requests', required=True, metavar='FILE', help='JSON Lines')
  filling.add_argument('--out', required=True, metavar='FILE', help='JSON Lines')
  drafting = action('paraphrase', 'has a model draft paraphrases, checks and judges them')
  drafting.epilog = (
    f'{_DRAFTING} --TASK=NAME, --OUTPUT_DIR=DIR and, for phrasings of your own, --BANKS="[\'FILE\']"; '
    'gin/runs/shared/paraphrase.gin has all settings.'
  )
  drafting.add_argument('--review', metavar='DIR', help='only prints the drafts of a directory beside their sources')
  perturbing = action('perturb', 'writes evaluation phrasings with typos, other separators and the like')
  perturbing.add_argument(
    '--bank', required=True, action='append', metavar='PATH', help='repeatable; "package" for ours'
  )
  perturbing.add_argument('--kinds', default=','.join(PERTURBATIONS), metavar='NAMES', help='%(default)s')
  perturbing.add_argument('--seed', type=int, default=0, metavar='N', help='of what is chosen')
  perturbing.add_argument('--out', required=True, metavar='DIR', help='for BANKS of a run')
  caching = action('cache', "writes SeqIO's cache of tasks, with Beam")
  caching.add_argument('task', nargs='+', metavar='TASK')
  caching.add_argument('--out', required=True, metavar='DIR', help='where the cache goes')
  caching.add_argument('--pipeline_options', default='', metavar='OPTIONS', help='of Beam, comma-separated')
  exporting = action('export', 'writes evaluation tasks for lm-evaluation-harness')
  exporting.add_argument('task', nargs='+', metavar='TASK', help='evaluation mixtures or tasks')
  exporting.add_argument('--to', required=True, choices=['lm-eval'], help='the program')
  exporting.add_argument('--out', required=True, metavar='DIR', help='for its --include_path')
  exporting.add_argument('--split', default='test', metavar='SPLIT')
  exporting.add_argument('--scorer', default='rank_likelihood', metavar='NAME', help='how answers will be scored')
  exporting.add_argument(
    '--network', default='encoder_decoder', choices=['encoder_decoder', 'decoder'],
    help="what will be evaluated, where --vocabulary does not tell: a decoder's options then have no end token",
  )  # fmt: skip
  exporting.add_argument('--max_output', type=int, default=_LENGTHS['targets'], metavar='N', help='tokens of an output')
  for sub in (listing, showing, statistics, checking, caching, exporting):
    sub.add_argument(
      '--vocabulary', metavar='PATH', help="a checkpoint, or a vocabulary's file; the bundled model's by default"
    )
    sub.add_argument('--chat_template', default='own', metavar='FILE', help='as CHAT_TEMPLATE of a run')
    sub.add_argument('--system_message', default='own', metavar='TEXT', help='as SYSTEM_MESSAGE of a run')
  return parser


def _vocabulary(arguments: argparse.Namespace) -> Any:
  from robust_t5x.checkpoints import backbones, vocabularies

  path = arguments.vocabulary or backbones.BUNDLED
  where = {'path' if path.endswith(('.model', '.json')) else 'checkpoint': path}
  return vocabularies.vocabulary(
    **where, chat_template=arguments.chat_template, system_message=arguments.system_message
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  arguments, rest = _parser().parse_known_args(sys.argv[1:] if argv is None else argv)
  try:
    if arguments.action == 'validate':
      _no_more(rest)
      vocabulary = None
      if arguments.vocabulary:
        quiet.import_tensorflow()
        vocabulary = _vocabulary(arguments)
      print(validate(arguments.path, vocabulary))
      return 0
    if arguments.action == 'render':
      _no_more(rest)
      done, failed = render(arguments.bank, arguments.requests, arguments.out)
      print(f'rendered {done} requests to {arguments.out}' + (f', {failed} have an error' if failed else ''))
      return 0
    if arguments.action == 'perturb':
      _no_more(rest)
      print('\n'.join(perturb(arguments.bank, arguments.kinds.split(','), arguments.seed, arguments.out)))
      return 0
    if arguments.action == 'paraphrase' and arguments.review:
      _no_more(rest)
      from robust_t5x.evaluation import paraphrase

      print(paraphrase.review(arguments.review, shutil.get_terminal_size((120, 24)).columns))
      return 0
    quiet.set_up()
    if arguments.action == 'paraphrase':
      if not any(argument.startswith('--gin_file') for argument in rest):
        raise errors.UsageError(f'no model is named. {_DRAFTING} --TASK=NAME and --OUTPUT_DIR=DIR')
      _configure(rest)
      print(gin_files.configured('paraphrase.paraphrase')())
      return 0
    if not any(argument.startswith('--gin_file') for argument in rest):
      rest = ['--gin_file=gin/tasks/mini.gin', '--gin_file=gin/observed/mini.gin', *rest]
    _configure(rest)
    vocabulary = _vocabulary(arguments)
    names = gin_files.configured('suites.register_all')(vocabulary=vocabulary)
    if arguments.action == 'list':
      for name in names:
        if fnmatch.fnmatchcase(name, arguments.match):
          print(name)
    elif arguments.action == 'cache':
      for directory in cache(arguments.task, arguments.out, [o for o in arguments.pipeline_options.split(',') if o]):
        print(directory)
    elif arguments.action == 'export':
      export(
        arguments.task, arguments.out, arguments.scorer, arguments.split, arguments.network, arguments.max_output, vocabulary
      )  # fmt: skip
      print(
        f'lm_eval run --include_path {arguments.out} --tasks {",".join(arguments.task)} --log_samples --output_path OUT ...'
      )
    elif arguments.action == 'show':
      for text in show(arguments.task, arguments.n, vocabulary, arguments.split):
        print(text + '\n')
    else:
      lines, warnings = stats(arguments.task, arguments.limit, vocabulary, arguments.split)
      print('\n'.join(lines))
      for warning in [*_of_readings(), *warnings]:
        print(f'warning: {warning}')
  except Exception as e:
    from seqio_tasks.bank.instruction import BankError

    if isinstance(e, BankError):  # a list, which reads best as one
      print(f'error: {e}', file=sys.stderr)
      return 2
    return errors.report_error(e)
  return 0


def _configure(rest: Sequence[str]) -> None:
  """Reads gin files and settings."""
  flags = launcher.parse_flags(rest, __doc__.splitlines()[0], prog='robust-t5x tasks')
  launcher.set_environment(flags)
  quiet.import_tensorflow()
  gin_files.parse_gin(flags)


def _no_more(rest: Sequence[str]) -> None:
  if rest:
    raise errors.UsageError(f'unknown arguments: {" ".join(rest)}')
