"""Imports the instructions of Sun, Shaib and Wallace (2024) from a clone of their repository.

https://github.com/jiudingsun01/InstructionEval has, for each dataset, a Python class whose methods render an item under
an instruction id such as "NIV2/QA/12". The repository has no licence: nothing of it comes with this project, and nothing
of it is executed. Its syntax trees are read by `interpreter`, and `fit` writes each method as a layout.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
import pathlib
from typing import Any

from seqio_tasks.bank.instruction import NAME, Instruction, make_instruction
from seqio_tasks.bank.layouts import Layout
from seqio_tasks.errors import shorten
from seqio_tasks.importers import LeftOut, Part, SourceError, foreign
from seqio_tasks.importers.fit import Probe, fit
from seqio_tasks.importers.interpreter import ERRORS, Interpreter
from seqio_tasks.importers.symbols import Raised, Symbol, Text, Unsupported, parts_of
from seqio_tasks.importers.templating import Names

# Numbers of options that are tried; code that wants another number raises.
_OPTION_COUNTS = (2, 3, 4, 5, 6, 7, 11)
_UNEQUAL = ((3, (4,)), (4, (3,)), (3, (5,)))
_MOST_PARTS = 2000  # of a text; there is one between any two fields or options
_ROLES = {'Default': 'default', 'Incorrect': 'incorrect', 'Negation': 'negation', 'Random': 'random'}


def read(repository: pathlib.Path, data: pathlib.Path | None = None) -> Iterator[Part]:
  """Reads the instructions of every dataset.

  Args:
    repository: a clone.
    data: a directory of BIG-bench tasks, for task descriptions that the clone lacks.

  Yields:
    each dataset, its instructions under the names that the repository has for it.

  Raises:
    SourceError: if the directory is not a clone of the repository.
  """
  repository = pathlib.Path(repository)
  datasets, listed = (_mapping(repository, name) for name in ('dirs.json', 'instructions.json'))
  for dataset, entry in datasets.items():
    made: list[Instruction] = []
    try:
      match entry:
        case [str(), str(module)] if not (repository / module).is_file():
          left_out = [('', '', f'the repository has no {shorten(module)}')]
        case [str(folder), str(module)] if NAME.fullmatch(dataset):
          made, left_out = _read_dataset(repository, data, dataset, folder, module, _ids(listed.get(dataset)))
        case _:
          made, left_out = (
            [],
            [('', '', 'dirs.json must map one word of letters, digits and _ to a folder and a module')],
          )
    except (Unsupported, Raised, SourceError) as e:
      left_out = [('', '', f'cannot be read: {shorten(e, 300)}')]
    except (*ERRORS, OSError) as e:  # code that is not laid out as a preprocessor, or names no file could have
      left_out = [('', '', f'cannot be read: {type(e).__name__}: {shorten(e, 300)}')]
    yield Part(dataset, tuple(made), tuple(LeftOut(shorten(dataset), *entry) for entry in left_out))


def _mapping(repository: pathlib.Path, name: str) -> dict[str, Any]:
  cure = 'give --repo a complete clone of github.com/jiudingsun01/InstructionEval'
  try:
    value = foreign.read_json(repository, repository / name)
  except SourceError as e:
    raise SourceError(f'{e}; {cure}') from e
  if not isinstance(value, dict):
    raise SourceError(f'{repository / name}: holds no mapping; {cure}')
  return value


def _ids(listed: Any) -> list[str] | None:
  if listed is None or (isinstance(listed, list) and all(isinstance(i, str) for i in listed)):
    return listed
  raise Unsupported('instructions.json must map it to a list of texts')


def _read_dataset(
  repository: pathlib.Path,
  data: pathlib.Path | None,
  dataset: str,
  folder: str,
  module: str,
  listed: Sequence[str] | None,
) -> tuple[list[Instruction], list[tuple[str, str, str]]]:
  def read_json(path: str) -> Any:
    """A task's description, from the clone or from `data`; nothing else may be read."""
    try:
      below = pathlib.PurePosixPath(path).relative_to(pathlib.PurePosixPath(folder).parent)
    except ValueError:
      raise Unsupported(f'the code reads {path}, which is not below the data of its task') from None
    for root in (repository / folder).parent, data:
      if root is not None and (root / below).resolve().is_relative_to(root.resolve()) and (root / below).is_file():
        return foreign.read_json(root, root / below)
    return {'description': Text([Symbol('missing', 'item', path)])}

  interpreter = Interpreter(repository, read_json)
  scope = interpreter.module(module.removeprefix('./'))
  base = scope.names.get('Preprocessor')
  classes = [c for c in scope.names.values() if base is not None and base in getattr(c, 'bases', ())]
  if len(classes) != 1:
    return [], [('', '', f'{module} defines {len(classes)} preprocessors, not one')]
  directory = _directory(repository / module, classes[0].name, folder)
  wanted = classes[0].find('__init__').node.args.args
  arguments = ['', [], True, directory][: len(wanted) - 1]

  def tables(first_id: str) -> Any:
    arguments[0] = first_id
    return interpreter.call(classes[0], *arguments)

  ids = listed
  if ids is None:
    known = tables('NIV2/QA/1').attributes['instr2preprocessor']
    ids = [i for i in known if i.startswith(('MMLU/', 'BBL/'))] + [
      i for i in known if not i.startswith(('MMLU/', 'BBL/'))
    ]
  # Items hold nothing that the code does not expect: it passes them on as named arguments.
  fields = (
    ('question', 'domain')
    if "'domain'" in ast.dump(ast.parse((repository / module).read_text('utf-8')))
    else ('question',)
  )
  names = Names()
  instructions, left_out = [], []
  instance = tables(ids[0])
  initial = dict(instance.attributes)
  for id_ in ids:
    if id_.count('/') != 2:
      left_out.append((shorten(id_), '', 'the id is not a collection, a type and a number, such as NIV2/QA/1'))
      continue
    probes: dict[str, list[Probe]] = {'zero-shot': [], 'few-shot': []}
    for form, table in (('zero-shot', 'instr2preprocessor'), ('few-shot', 'instr2preprocessor_fs')):
      function = initial[table].get(id_)
      if function is None:
        if form == 'zero-shot':
          left_out.append((id_, form, 'the code has no such id'))
        continue
      try:
        probes[form] = _probe(interpreter, instance, initial, function, form == 'few-shot', fields)
      except Unsupported as e:
        left_out.append((id_, form, f'cannot be expressed: {e}'))
      except Raised as e:
        left_out.append((id_, form, f'raises in the released code: {e}'))
      except ERRORS as e:
        left_out.append((id_, form, f'cannot be expressed: the code gives no texts ({type(e).__name__}: {shorten(e)})'))
    layout = _fit(id_, probes, names, left_out)
    if layout is None:
      continue
    collection, type_, number = id_.split('/')
    instructions.append(
      make_instruction(
        collection,
        dataset,
        f'{type_}_{number}',
        _ROLES.get(type_, 'evaluation'),
        layout.template,
        layout,
        source=id_,
        verbatim=True,
      )
    )
  return instructions, left_out


def _fit(id_: str, probes: dict[str, list[Probe]], names: Names, left_out: list[tuple[str, str, str]]) -> Layout | None:
  """The layout of all that was probed, or of what can be expressed of it."""
  while any(probes.values()):
    try:
      return fit(probes['zero-shot'], probes['few-shot'], names)
    except Unsupported as e:
      form = 'few-shot' if probes['few-shot'] else 'zero-shot'
      left_out.append((id_, form, f'cannot be expressed: {e}'))
      probes[form] = []
  return None


def _directory(module: pathlib.Path, class_name: str, folder: str) -> str:
  """The directory that the code gives to its preprocessor, which it may have joined to the task's folder."""
  paths = {'input_dir': folder}

  def path(node: ast.expr) -> str | None:
    match node:
      case ast.Name():
        return paths.get(node.id)
      case ast.Constant(value=str(text)):
        return text
      case ast.Call(args=arguments) if ast.unparse(node.func) == 'os.path.join':
        found = [path(a) for a in arguments]
        pieces = [piece for piece in found if piece is not None]
        return '/'.join(pieces) if len(pieces) == len(found) else None
    return None

  tree = ast.parse(module.read_text(encoding='utf-8'))
  load = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == 'load_data'), None)
  for node in load.body if load is not None else ():
    match node:
      case ast.Assign(targets=[ast.Name(id=name)], value=value) if path(value):
        paths[name] = path(value) or ''
      case ast.Assign(value=ast.Call() as call) if ast.unparse(call.func) == class_name and len(call.args) > 3:
        return path(call.args[3]) or folder
  return folder


def _probe(
  interpreter: Interpreter,
  instance: Any,
  initial: Mapping[str, Any],
  function: Any,
  few: bool,
  fields: Sequence[str],
) -> list[Probe]:
  """Calls a function of the code with symbols, in every way that it can be called.

  Raises:
    Unsupported: if the code cannot be followed.
    Raised: if it raises an error in every way.
  """
  counts: list[tuple[int, tuple[int, ...]]] = [(n, (n,) if few else ()) for n in _OPTION_COUNTS]
  probes: list[Probe] = []
  error: Raised | None = None
  while counts:
    options, example_options = counts.pop(0)

    def call(options=options, example_options=example_options):
      instance.attributes.clear()
      instance.attributes.update(initial)
      instance.attributes['examples'] = [_item(i, n, fields) for i, n in enumerate(example_options)]
      return interpreter.call(function, _item('item', options, fields))

    outcomes = list(interpreter.paths(call))
    failed = [o for o, _ in outcomes if isinstance(o, Raised)]
    if failed:
      error = failed[0]
    elif len(outcomes) > 1:
      raise Unsupported(f'the code does different things for different data: {outcomes[0][1]}')
    else:
      rendered = outcomes[0][0]
      texts = rendered['input_text'], rendered['output_text'], rendered['label_space']
      if any(len(parts_of(text)) > _MOST_PARTS for text in texts[:2]):
        raise Unsupported('the text has too many parts')
      probes.append(Probe(options, example_options, *texts))
    if few and not counts and probes and all(len(p.example_options) == 1 for p in probes):
      most = max(p.options for p in probes)
      counts = [(most, (most,) * 2), (most, (most,) * 3), *_UNEQUAL]
      few = False
  if not probes and error is not None:
    raise error
  return probes


def _item(owner: str | int, options: int, fields: Sequence[str]) -> dict[str, Any]:
  """An item of symbols; the answer is its second option."""
  return {name: Text([Symbol('field', owner, name)]) for name in fields} | {
    'options': [Text([Symbol('option', owner, i)]) for i in range(options)],
    'answer': Text([Symbol('answer', owner, 1)]),
  }
