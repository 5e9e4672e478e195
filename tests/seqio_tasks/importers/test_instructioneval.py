"""Tests of importing InstructionEval, on a small repository of our own and on a clone where one is at hand."""

import json
import os
import pathlib

import pytest

from seqio_tasks import importers
from seqio_tasks.importers import instructioneval

# A repository laid out as InstructionEval, with texts of our own.
PREPROCESSOR = r"""
import json
import os


class Preprocessor:
  def __init__(self, instruction, examples, eval_by_logits, input_dir=None):
    self.instr2preprocessor = {"Own/QA/1": self.listed, "Own/QA/2": self.broken}
    self.instr2preprocessor_fs = {"Own/QA/1": self.listed_fs}
    self.examples = examples
    if input_dir is not None:
      self.description = json.load(open(os.path.join(input_dir, "task.json")))["description"]
    self.add_unobserved_instructions()
    self.processor = self.instr2preprocessor[instruction]

  def letters(self, item):
    return [chr(x) for x in range(ord("A"), ord("Z") + 1)][:len(item["options"])]

  def listed(self, item):
    text = "Decide among {} options.\n{}".format(len(item["options"]), item["question"])
    for letter, option in zip(self.letters(item), item["options"]):
      text += "\n({}) {}".format(letter, option)
    answer = self.letters(item)[item["options"].index(item["answer"])]
    return {"input_text": text, "output_text": answer, "label_space": self.letters(item)}

  def listed_fs(self, item):
    text = "Examples.\n"
    for i, example in enumerate(self.examples):
      answer = self.letters(example)[example["options"].index(example["answer"])]
      text += "{}: {} => {}\n".format(i + 1, example["question"], answer)
    made = self.listed(item)
    made["input_text"] = text + item["question"] + " =>"
    return made

  def broken(self, item):
    return {"input_text": item["nothing"]}
"""


CONFIG = r"""
import os
from configs.preprocessor import Preprocessor


def load_data(input_dir, instruction, shot_count, eval_by_logits, tokenizer):
  input_dir = os.path.join(input_dir, "part")
  preprocessor = Own(instruction, [], eval_by_logits, input_dir)


class Own(Preprocessor):
  def __init__(self, instruction, examples, eval_by_logits, input_dir):
    super(Own, self).__init__(instruction, examples, eval_by_logits, input_dir)

  def add_unobserved_instructions(self):
    self.instr2preprocessor["BBL/Default/1"] = self.default
    self.instr2preprocessor["BBL/Negation/1"] = lambda item: self.default(item)

  def default(self, item):
    text = self.description + " " + item["question"] + " {odd}"
    answer = "Yes" if item["answer"] == "right" else "No"
    return {"input_text": text, "output_text": answer, "label_space": ["Yes", "No"]}
"""


ITEM = {'question': 'Which {one}?', 'options': ['wrong', 'right', 'other'], 'answer': 'right'}


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
  root = tmp_path / 'clone'
  (root / 'configs').mkdir(parents=True)
  (root / 'configs' / 'preprocessor.py').write_text(PREPROCESSOR)
  (root / 'configs' / 'own.py').write_text(CONFIG)
  (root / 'data' / 'own' / 'part').mkdir(parents=True)
  (root / 'data' / 'own' / 'part' / 'task.json').write_text('{"description": "Described."}')
  (root / 'dirs.json').write_text(
    json.dumps({'Own': ['./data/own', './configs/own.py'], 'Gone': ['./d', './configs/gone.py']})
  )
  (root / 'instructions.json').write_text(
    json.dumps({'Own': ['Own/QA/1', 'Own/QA/2', 'BBL/Default/1', 'BBL/Negation/1']})
  )
  return root


def test_instructioneval(repository, tmp_path, written):
  bank, counts = written(instructioneval.read(repository))
  assert [(i.source, i.role, i.task) for i in bank] == [
    ('Own/QA/1', 'evaluation', 'Own'),
    ('BBL/Default/1', 'default', 'Own'),
    ('BBL/Negation/1', 'negation', 'Own'),
  ]
  listed, default = bank['Own/Own/QA_1'].layout, bank['BBL/Own/Default_1'].layout
  assert listed.render(ITEM) == (
    'Decide among 3 options.\nWhich {one}?\n(A) wrong\n(B) right\n(C) other', 'B', ('A', 'B', 'C')
  )  # fmt: skip
  examples = [
    {'question': 'E', 'options': ['x', 'y'], 'answer': 'x'},
    {'question': 'F', 'options': ['x'], 'answer': 'x'},
  ]
  assert listed.render(ITEM, examples).input_text == 'Examples.\n1: E => A\n2: F => A\nWhich {one}? =>'
  assert default.render(ITEM) == ('Described. Which {one}? {odd}', 'Yes', ('Yes', 'No'))
  assert default.render(ITEM | {'answer': 'other'}).output_text == 'No'
  assert counts == {'files': 2, 'instructions': 3, 'few_shot': 1, 'left_out': 2, 'whole': ['Gone']}
  left_out = json.loads((tmp_path / 'out' / importers.REPORT).read_text())
  assert (
    left_out[0]['source'] == 'Own/QA/2' and "raises in the released code: KeyError: 'nothing'" in left_out[0]['reason']
  )
  assert left_out[1]['task'] == 'Gone' and 'has no ./configs/gone.py' in left_out[1]['reason']


def test_a_description_that_is_missing_may_come_from_elsewhere(repository, tmp_path):
  (repository / 'data' / 'own' / 'part' / 'task.json').unlink()
  (part,) = [p for p in instructioneval.read(repository) if p.name == 'Own']
  assert [i.source for i in part.instructions] == ['Own/QA/1']
  assert any('task.json is missing' in entry.reason for entry in part.left_out)
  other = tmp_path / 'bigbench' / 'own' / 'part'
  other.mkdir(parents=True)
  (other / 'task.json').write_text('{"description": "Elsewhere."}')
  (part,) = [p for p in instructioneval.read(repository, tmp_path / 'bigbench') if p.name == 'Own']
  assert part.instructions[1].layout.render(ITEM).input_text.startswith('Elsewhere. ')


@pytest.mark.parametrize('path', ['/etc/hostname', '../../secret.json', 'data/own/../../../secret.json'])
def test_no_file_beside_the_data_is_read(repository, tmp_path, path):
  (tmp_path / 'secret.json').write_text('{"description": "Secret."}')
  config = repository / 'configs' / 'own.py'
  text = config.read_text().replace('self.description + ', f'json.load(open("{path}"))["description"] + ')
  config.write_text('import json\n' + text)
  (part,) = [p for p in instructioneval.read(repository) if p.name == 'Own']
  assert [i.source for i in part.instructions] == ['Own/QA/1']
  assert 'Secret' not in str(part)


def test_what_is_no_clone_is_refused(tmp_path):
  with pytest.raises(importers.SourceError, match='dirs.json: cannot be read .* give --repo a complete clone'):
    list(instructioneval.read(tmp_path))


def test_the_published_renderings(shared_data, written):
  """Needs a clone, which the variable names; what it renders must be what the published code renders."""
  clone = os.environ.get('ROBUST_T5X_INSTRUCTIONEVAL')
  if not clone:
    pytest.skip('no clone of InstructionEval; set ROBUST_T5X_INSTRUCTIONEVAL')
  bank, _ = written(instructioneval.read(pathlib.Path(clone), shared_data / 'bigbench'))
  known = {(i.task, i.source): i.layout for i in bank}
  checked = 0
  for path in sorted((shared_data / 'instructioneval' / 'golden').glob('*.jsonl')):
    for line in path.read_text(encoding='utf-8').splitlines():
      row = json.loads(line)
      got = known[row['dataset'], row['instruction_id']].render(row['item'], row.get('examples', ()))
      assert got == (row['input_text'], row['output_text'], tuple(row['label_space'])), line
      checked += 1
  assert checked > 3000


def test_data_of_a_task_may_be_long(repository):
  examples = [{'input': str(i), 'target': 'x'} for i in range(60_000)]
  description = json.dumps({'description': 'Described.', 'examples': examples})
  (repository / 'data' / 'own' / 'part' / 'task.json').write_text(description)
  (part,) = [p for p in instructioneval.read(repository) if p.name == 'Own']
  assert len(part.instructions) == 3


# A repository of one instruction, whose code does something first.
BOMB = """
class Preprocessor:
  pass


class Own(Preprocessor):
  def __init__(self, instruction, examples, ordered=True, directory=None):
    self.instr2preprocessor = {"NIV2/QA/1": self.one, "NIV2/QA/2": self.two}
    self.instr2preprocessor_fs = {}

  def two(self, item):
    return {"input_text": item["question"], "output_text": item["answer"], "label_space": item["options"]}

  def one(self, item):
%s
    return self.two(item)
"""


def _bomb(root: pathlib.Path, lines: str, dataset: str = 'Own') -> pathlib.Path:
  root.mkdir()
  (root / 'own.py').write_text(BOMB % '\n'.join('    ' + line for line in lines.split('\n')))
  (root / 'dirs.json').write_text(json.dumps({dataset: ['data', 'own.py']}))
  (root / 'instructions.json').write_text(json.dumps({dataset: ['NIV2/QA/1', 'NIV2/QA/2']}))
  return root


@pytest.mark.parametrize(
  ('lines', 'reason'),
  [
    ('a = 9\nfor i in range(60): a = a * a', 'a number grows too large'),
    ('a = 9\nfor i in range(9): a = a * a * a * a * a * a * a * a', 'a number grows too large'),
    ('x = [[[1 for a in range(1000)] for b in range(1000)] for c in range(1000)]', 'the code runs too long'),
    ('x = [1]\nfor i in range(60): x = [x, x]', 'a list grows too long'),
    ('x = [1]\nfor i in range(60): x = x + x', 'a list grows too long'),
    ('x = {}\nfor i in range(60): x = {"a": x, "b": x}', 'a list grows too long'),
    ('x = (1,)\nfor i in range(60): x = (x, x)\ny = {x: 1}', 'a list grows too long'),
    ('x = []\nx.append(x)', 'a list grows too long'),
    ('x = {}\nx["a"] = x', 'a list grows too long'),
    ('x = "ab"\nfor i in range(60): x = x + x', 'a text grows too long'),
    ('x = "ab"\nfor i in range(60): x = x.replace("a", "aaaaaaaaaaaaaaaa")', 'a text grows too long'),
    ('x = "{0}{0}{0}{0}"\nfor i in range(60): x = x.format(x)', 'a text grows too long'),
    ('x = item["question"]\nfor i in range(60): x = x + x', 'a text grows too long'),
    ('x = item["question"]\nfor i in range(6000): x = x.replace("a", "b")', 'a text is cut too often'),
    ('for i in range(9999):\n  for j in range(9999): pass', 'the code runs too long'),
    ('x = []\nfor i in range(9999): x.append(i)', 'the code runs too long'),
    ('self.one(item)', 'RecursionError'),
    ('x = 1 // 0', 'ZeroDivisionError'),
    ('x = {[1]: 2}', 'TypeError'),
    ('x = chr(-1)', 'ValueError'),
    ('return 3', 'the code gives no texts'),
  ],
)
def test_code_without_end_ends_itself_only(tmp_path, lines, reason):
  (part,) = instructioneval.read(_bomb(tmp_path / 'clone', lines))
  assert [i.source for i in part.instructions] == ['NIV2/QA/2']
  assert [(entry.source, reason in entry.reason) for entry in part.left_out] == [('NIV2/QA/1', True)], part.left_out


@pytest.mark.parametrize(
  'dataset', ['../../x', '/tmp/x', 'a/b', 'a\\b', 'C:x', 'a\0b', '..', '', 'ä', 'x' * 300, 'a b', 'line\nline']
)
def test_names_of_a_source_never_become_paths(tmp_path, dataset):
  repository = _bomb(tmp_path / 'clone', 'pass', dataset)
  counts = importers.write('x', instructioneval.read(repository), tmp_path / 'deep' / 'out')
  assert counts['files'] == 0 and counts['left_out'] >= 1
  written = {p.name for p in tmp_path.rglob('*') if p.is_file() and not p.is_relative_to(repository)}
  assert written == {importers.REPORT}


def test_a_module_outside_of_the_repository_is_not_read(tmp_path):
  repository = _bomb(tmp_path / 'clone', 'pass')
  (tmp_path / 'outside.py').write_text((repository / 'own.py').read_text())
  (repository / 'linked.py').symlink_to(tmp_path / 'outside.py')
  datasets = {'A': ['data', '../outside.py'], 'B': ['data', str(tmp_path / 'outside.py')], 'C': ['data', 'linked.py'],
              'D': ['data'], 'E': 3, 'Own': ['data', 'own.py']}  # fmt: skip
  (repository / 'dirs.json').write_text(json.dumps(datasets))
  parts = list(instructioneval.read(repository))
  assert {p.name: len(p.instructions) for p in parts} == {'A': 0, 'B': 0, 'C': 0, 'D': 0, 'E': 0, 'Own': 2}
  assert all(part.left_out for part in parts[:-1])


@pytest.mark.parametrize('text', ['[]', '{', '"x"', '{"Own": NaN', '\ufeff[', '[' * 100_000])
def test_lists_of_datasets_that_are_none_are_told(tmp_path, text):
  repository = _bomb(tmp_path / 'clone', 'pass')
  (repository / 'dirs.json').write_text(text)
  with pytest.raises(importers.SourceError, match=r'dirs\.json: .*give --repo'):
    list(instructioneval.read(repository))
