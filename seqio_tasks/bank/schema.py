"""The schema of bank files: phrasings with option blocks, forms of answers and few-shot forms.

A phrasing is a text, or a mapping of which only `template` is needed:

    e01: "{question}\\n{options}"
    e02:
      template: "{question} Choose among {options}. Answer with the option's text."
      options: inline_or          # how {options} lists them: a name in `layouts.STYLES`, or a mapping as in `blocks`
      answer: text                # label, text or a mapping; by default label if {options} has labels, otherwise text
      few_shot:                   # only where there is such a form
        prefix: "Two questions follow.\\n"
        example: "{question} {options} {answer}\\n"
        input: "{question} {options}"
      role: evaluation            # instead of the file's
      collection: mine            # instead of the file's
      source: "NIV2/QA/12"        # what its source calls it

and a file may define, for all its phrasings, beside `family`, `collection`, `role` and `instructions`:

    verbatim: true                # published texts, kept as they are, doubles included
    blocks:                       # fields that list options
      labels: {item: "'{label}'", separator: ", ", last_separator: " or ", labels: upper}
    derived:                      # fields cut out of others
      hypothesis: {from: question, steps: [{split: {separator: "Hypothesis: ", parts: 2, index: 1}}, strip]}

The keys are those of `layouts.Block`, `layouts.Derivation`, `layouts.Answer` and `layouts.FewShot`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import re
from typing import Any

import yaml

from seqio_tasks.bank import layouts
from seqio_tasks.bank.layouts import Answer, Block, Derivation, FewShot, Layout
from seqio_tasks.bank.templates import parsed_template
from seqio_tasks.errors import shorten

Report = Callable[[str], None]

_ENTRY_KEYS = ('template', 'options', 'answer', 'few_shot', 'role', 'collection', 'source')
_FEW_SHOT_KEYS = ('prefix', 'example', 'input', 'example_answer', 'answer')
_FIELD = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_DEFAULT_STYLE = 'letters'


@dataclasses.dataclass(frozen=True)
class SharedParts:
  """What a file defines for all its phrasings."""

  blocks: Mapping[str, Block]
  derived: Mapping[str, Derivation]
  verbatim: bool = False


def shared_parts(content: Mapping[str, Any], report: Report) -> SharedParts:
  """Reads the keys verbatim, blocks and derived of a file; faults go to `report`."""
  verbatim = content.get('verbatim', False)
  if not isinstance(verbatim, bool):
    report(f"key 'verbatim' is {shorten(repr(verbatim))}; it must be true or false")
  parts: dict[str, dict[str, Any]] = {'blocks': {}, 'derived': {}}
  for key, read in (('blocks', _read_block), ('derived', _read_derivation)):
    entries = content.get(key)
    if entries is None:
      continue
    if not isinstance(entries, dict):
      report(f'key {shorten(repr(key))} must map names of fields to definitions')
      continue
    for name, entry in entries.items():
      if not (isinstance(name, str) and _FIELD.fullmatch(name)):
        report(f'{key}/{shorten(name)}: the name must be one word of letters, digits and _')
        continue
      part = read(entry, _under(f'{key}/{name}', report))
      if part is not None:
        parts[key][name] = part
  return SharedParts(parts['blocks'], parts['derived'], verbatim is True)


def read_layout(entry: Mapping[str, Any], shared: SharedParts, report: Report) -> Layout | None:
  """Reads a phrasing; None, with faults sent to `report`, if it is none."""
  faults: list[str] = []
  for key in entry:
    if key not in _ENTRY_KEYS:
      faults.append(f'unknown key {shorten(repr(key))}; the keys are {", ".join(_ENTRY_KEYS)}')
  few_shot = _read_few_shot(entry['few_shot'], faults.append) if 'few_shot' in entry else None
  template = entry.get('template')
  texts: list[str]
  if template is None and few_shot is not None:
    texts = []
  elif not isinstance(template, str) or not template.strip():
    faults.append(f'the template is {shorten(repr(template))}; it must be text, in quotes')
    texts = []
  else:
    texts = [template]
  if few_shot is not None:
    texts += [few_shot.prefix, few_shot.example, few_shot.input]
  used = _fields(texts, faults.append)
  blocks = {name: block for name, block in shared.blocks.items() if name in used}
  derived = {name: d for name, d in shared.derived.items()}
  if 'options' in used and 'options' not in blocks:
    block = _read_style(entry.get('options', _DEFAULT_STYLE), faults.append)
    if block is not None:
      blocks['options'] = block
  elif 'options' in entry:
    faults.append("key 'options' says how options are listed, but the template has no {options}; add or remove one")
  inner = _fields([t for b in blocks.values() for t in (b.separator, b.last_separator or '')], faults.append)
  derived = {name: d for name, d in derived.items() if name in used or name in inner}
  answer = _read_answer(entry['answer'], blocks, faults.append) if 'answer' in entry else None
  layout = Layout(template, blocks, derived, answer, few_shot)
  if not faults and layout.shows_the_answer:
    faults.append(
      'the template names {answer}, what comes of it, {answer_index} or {alternatives}: the question would tell the right answer; only '
      'the example of a few-shot form may. A column of the data that is called answer is {data_answer}'
    )
  for fault in faults:
    report(fault)
  return None if faults else layout


def faults(layout: Layout) -> list[str]:
  """Why a bank file could not hold a layout; empty for one that is read again as it was written."""
  found: list[str] = []
  read_layout(_entry(layout, {}), SharedParts(layout.blocks, layout.derived), found.append)
  return found


def _entry(layout: Layout, names: Mapping[str, str]) -> dict[str, Any]:
  """A layout as an entry of a file, its blocks under other names."""
  entry: dict[str, Any] = {}
  if layout.template is not None:
    entry['template'] = _rename(layout.template, names)
  if layout.answer is not None:
    entry['answer'] = _plain_answer(layout.answer)
  if layout.few_shot is not None:
    form = layout.few_shot
    entry['few_shot'] = {key: _rename(getattr(form, key), names) for key in ('prefix', 'example', 'input')}
    for key in ('example_answer', 'answer'):
      if getattr(form, key) is not None:
        entry['few_shot'][key] = _plain_answer(getattr(form, key))
  return entry


def file_text(family: str, instructions: Iterable[Any], verbatim: bool = False, **defaults: str) -> str:
  """The text of a bank file that holds instructions.

  Args:
    family: of the file.
    instructions: `Instruction`s; their blocks may have the same name and differ, their keys must not be the same.
    verbatim: see the module's docstring.
    **defaults: collection and role, if they are the same for all.
  """
  blocks: dict[Block, str] = {}
  derived: dict[str, Any] = {}
  tasks: dict[str, dict[str, Any]] = {}
  for instruction in instructions:
    layout = instruction.layout
    names = {}
    for name, block in layout.blocks.items():
      base = 'labels' if '{option}' not in block.item else 'options'
      blocks.setdefault(block, f'{base}_{len(blocks) + 1}')
      names[name] = blocks[block]
    for name, derivation in layout.derived.items():
      derived[name] = _write_derivation(derivation)
    entry: dict[str, Any] = {}
    if instruction.source:
      entry['source'] = instruction.source
    for key in ('collection', 'role'):
      if key not in defaults:
        entry[key] = getattr(instruction, key)
    entry |= _entry(layout, names)
    tasks.setdefault(instruction.task, {})[instruction.key] = entry
  content: dict[str, Any] = {'family': family, **defaults}
  if verbatim:
    content['verbatim'] = True
  if blocks:
    content['blocks'] = {name: _plain(block) for block, name in blocks.items()}
  if derived:
    content['derived'] = derived
  content['instructions'] = tasks
  return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)


class _Dumper(getattr(yaml, 'CSafeDumper', yaml.SafeDumper)):  # type: ignore[misc]
  """Writes texts of several lines in double quotes, as the shipped banks have them."""


def _represent_text(dumper: Any, text: str) -> Any:
  style = '"' if '\n' in text or '\t' in text else None
  return dumper.represent_scalar('tag:yaml.org,2002:str', text, style=style)


_Dumper.add_representer(str, _represent_text)


def _under(where: str, report: Report) -> Report:
  """Reports faults of a part, named."""
  return lambda fault: report(f'{where}: {fault}')


def _fields(texts: Iterable[str], report: Report) -> set[str]:
  names: set[str] = set()
  for text in texts:
    try:
      names.update(name for _, name in parsed_template(text) if name)
    except ValueError as e:
      report(str(e))
  return names


def _read_style(style: Any, report: Report) -> Block | None:
  if isinstance(style, dict):
    return _read_block(style, report)
  if not isinstance(style, str) or style not in layouts.STYLES:
    report(
      f'unknown option style {shorten(repr(style))}; use one of {", ".join(layouts.STYLES)}, or a mapping with the key item'
    )
    return None
  return layouts.STYLES[style]


_BLOCK_TYPES = {
  'item': str, 'separator': str, 'last_separator': str, 'labels': str, 'limit': int, 'of': str,
  'limit_to_item': bool, 'python': bool, 'shuffle': int,
}  # fmt: skip


def _read_block(entry: Any, report: Report) -> Block | None:
  if not isinstance(entry, dict) or not isinstance(entry.get('item'), str):
    report("must be a mapping with the key item, such as {item: '{label}. {option}'}")
    return None
  if not _check_keys(entry, _BLOCK_TYPES, report):
    return None
  ok = _check_labels(entry.get('labels', 'upper'), report)
  names = _fields([entry['item']], report)
  if not names & {'option', 'label'}:
    report('item must hold {option} or {label}')
    ok = False
  if entry.get('limit', 1) < 1:
    report(f'limit is {entry["limit"]}; it must be at least 1')
    ok = False
  if entry.get('of', 'own') not in ('own', 'item', 'example'):
    report(f'of is {shorten(repr(entry["of"]))}; use own, item or example')
    ok = False
  return Block(**entry) if ok else None


_STEP_KEYS = {'split': ('separator', 'most', 'parts', 'index'), 'replace': ('text', 'by')}


def _read_derivation(entry: Any, report: Report) -> Derivation | None:
  cure = "must be a mapping such as {from: question, steps: [{remove: 'Premise: '}]}"
  if not isinstance(entry, dict) or set(entry) != {'from', 'steps'} or not isinstance(entry['steps'], list):
    report(cure)
    return None
  if not isinstance(entry['from'], str):
    report(f'from is {shorten(repr(entry["from"]))}; it must be the name of a field, in quotes')
    return None
  steps: list[tuple[Any, ...]] = []
  for step in entry['steps']:
    match step:
      case 'strip':
        steps.append(('strip',))
      case {'split': {'separator': str(separator), 'index': int(index), **rest}} if (
        separator
        and set(rest) <= {'most', 'parts'}
        and all(type(n) is int and abs(n) < 2**31 for n in (index, *rest.values()))
      ):
        steps.append(('split', separator, rest.get('most', -1), rest.get('parts', 0), index))
      case {'remove': str(text)}:
        steps.append(('remove', text))
      case {'prepend': str(text)}:
        steps.append(('prepend', text))
      case {'replace': {'text': str(text), 'by': str(by)}}:
        steps.append(('replace', text, by))
      case _:
        report(f'unknown step {shorten(repr(step))}; the steps are split (separator, index, most, parts), remove, replace (text, by), '
               'prepend and strip')  # fmt: skip
        return None
  return Derivation(entry['from'], tuple(steps))


def _write_derivation(derivation: Derivation) -> dict[str, Any]:
  steps: list[Any] = []
  for kind, *arguments in derivation.steps:
    if kind == 'strip':
      steps.append('strip')
    elif kind == 'split':
      separator, most, parts, index = arguments
      step = {'separator': separator, 'index': index}
      if most != -1:
        step['most'] = most
      if parts:
        step['parts'] = parts
      steps.append({'split': step})
    elif kind == 'replace':
      steps.append({'replace': dict(zip(('text', 'by'), arguments, strict=True))})
    else:
      steps.append({kind: arguments[0]})
  return {'from': derivation.source, 'steps': steps}


_ANSWER_TYPES = {
  'form': str, 'labels': str, 'mapping': dict, 'index': int, 'label_form': str, 'label_space': list,
  'shuffle': int,
}  # fmt: skip


def _read_answer(entry: Any, blocks: Mapping[str, Block], report: Report) -> Answer | None:
  if entry == 'text':
    return Answer()
  if entry == 'label':
    labelled = [b for b in blocks.values() if b.labelled]
    if not labelled:
      report('answer is label, but the template lists no options with labels; list them so, or ask for the text')
      return None
    return Answer('{label}', labelled[0].labels, shuffle=labelled[0].shuffle)
  if not isinstance(entry, dict):
    report(f'answer is {shorten(repr(entry))}; use label, text or a mapping with the keys {", ".join(_ANSWER_TYPES)}')
    return None
  ok = _check_keys(entry, _ANSWER_TYPES, report) and _check_labels(entry.get('labels', 'upper'), report)
  for key in ('form', 'label_form'):
    if ok and key in entry and not _fields([entry[key]], report):
      report(f'{key} of the answer must hold {{option}}, {{label}} or a field of the item')
      ok = False
  values = [*entry.get('mapping', {}).items(), *entry.get('label_space', ())] if ok else []
  if not all(isinstance(v, str) for pair in values for v in (pair if isinstance(pair, tuple) else (pair,))):
    report('mapping and label_space of the answer must hold texts; quote yes, no and numbers')
    ok = False
  if not ok:
    return None
  space = tuple(entry['label_space']) if 'label_space' in entry else None
  if space is not None and len(set(space)) < max(len(space), 2):
    report(f'label_space of the answer is {shorten(repr(space))}; give two texts or more, none of them twice')
    return None
  return Answer(**{**entry, 'mapping': tuple(entry.get('mapping', {}).items()), 'label_space': space})


def _read_few_shot(entry: Any, report: Report) -> FewShot | None:
  if not isinstance(entry, dict) or not {'example', 'input'} <= set(entry) <= set(_FEW_SHOT_KEYS):
    report(f'few_shot must be a mapping with the keys example and input, and may have {", ".join(_FEW_SHOT_KEYS)}')
    return None
  texts = {key: entry.get(key, '') for key in ('prefix', 'example', 'input')}
  for key, text in texts.items():
    if not isinstance(text, str):
      report(f'{key} of few_shot is {shorten(repr(text))}; it must be text, in quotes')
      return None
  answers = {
    key: _read_answer(entry[key], {}, _under(f'few_shot/{key}', report))
    for key in ('example_answer', 'answer')
    if key in entry
  }
  return FewShot(**texts, example_answer=answers.get('example_answer'), answer=answers.get('answer'))


def _check_keys(entry: Mapping[str, Any], types: Mapping[str, type], report: Report) -> bool:
  ok = True
  for key, value in entry.items():
    if key not in types:
      report(f'unknown key {shorten(repr(key))}; the keys are {", ".join(types)}')
      ok = False
    elif not isinstance(value, types[key]) or (types[key] is int and isinstance(value, bool)):
      report(f'key {shorten(repr(key))} is {shorten(repr(value))}; it must be of the type {types[key].__name__}')
      ok = False
  return ok


def _check_labels(style: str, report: Report) -> bool:
  if style not in layouts.LABELS:
    report(f'unknown labels {shorten(repr(style))}; use one of {", ".join(layouts.LABELS)}')
    return False
  return True


def _rename(template: str, names: Mapping[str, str]) -> str:
  return ''.join(
    literal + (f'{{{names.get(name, name)}}}' if name else '') for literal, name in parsed_template(template)
  )


def _plain_answer(answer: Answer) -> dict[str, Any] | str:
  return _plain(answer) or 'text'


def _plain(part: Block | Answer) -> dict[str, Any]:
  """The fields of a part that are not as by default."""
  made = {}
  for field in dataclasses.fields(part):
    value = getattr(part, field.name)
    if value == field.default:
      continue
    if field.name == 'mapping':
      value = dict(value)
    made[field.name] = list(value) if isinstance(value, tuple) else value
  return made
