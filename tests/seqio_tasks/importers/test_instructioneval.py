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
  assert counts == {'files': 2, 'instructions': 3, 'few_shot': 1, 'left_out': 2}
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
