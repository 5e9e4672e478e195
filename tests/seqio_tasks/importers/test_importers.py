"""Tests of the importers on small sources of our own, and on clones where they are at hand."""

import json
import os
import pathlib

import pytest

from seqio_tasks import importers
from seqio_tasks.bank import reading
from seqio_tasks.importers import flan, instructioneval, multiprompt, promptsource, table

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


def _bank(parts, directory):
  counts = importers.write('x', parts, directory)
  return reading.Bank.from_files(sorted(directory.glob('*.yaml'))), counts


def test_instructioneval(repository, tmp_path):
  bank, counts = _bank(instructioneval.read(repository), tmp_path / 'out')
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


def test_the_published_renderings(shared_data, tmp_path):
  """Needs a clone, which the variable names; what it renders must be what the published code renders."""
  clone = os.environ.get('ROBUST_T5X_INSTRUCTIONEVAL')
  if not clone:
    pytest.skip('no clone of InstructionEval; set ROBUST_T5X_INSTRUCTIONEVAL')
  bank, _ = _bank(instructioneval.read(pathlib.Path(clone), shared_data / 'bigbench'), tmp_path / 'out')
  known = {(i.task, i.source): i.layout for i in bank}
  checked = 0
  for path in sorted((shared_data / 'instructioneval' / 'golden').glob('*.jsonl')):
    for line in path.read_text(encoding='utf-8').splitlines():
      row = json.loads(line)
      got = known[row['dataset'], row['instruction_id']].render(row['item'], row.get('examples', ()))
      assert got == (row['input_text'], row['output_text'], tuple(row['label_space'])), line
      checked += 1
  assert checked > 3000


def test_flan(tmp_path):
  for name, text in (
    ('flan/templates.py', 'PATTERNS = {"rte": [("{premise} so {hypothesis}?\\n{options_}", "{answer}"), '
     '("Write one.", "P: {premise} H: {hypothesis}"), ("{premise[0]}", "{answer}")]}'),
    ('flan/v2/templates.py', 'import copy\nPATTERNS = {"a": [("{{x}} {text}", "{summary}")]}\nPATTERNS["b"] = PATTERNS["a"]\n'
     'FEWSHOT_PATTERNS = {}\nPATTERNS_NO_OPTIONS = copy.deepcopy(PATTERNS)'),
  ):  # fmt: skip
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  bank, counts = _bank(flan.read(tmp_path), tmp_path / 'out')
  assert [i.id for i in bank] == [
    'FLAN2021/rte/t01', 'FLAN2021/rte_inverted/t02', 'FLAN2022/a/t01', 'FLAN2022/b/t01'
  ]  # fmt: skip
  item = {'premise': 'p', 'hypothesis': 'h', 'options': ['yes', 'no'], 'answer': 'no', 'text': 't', 'summary': 's'}
  rendered = [i.layout.render(item) for i in bank]
  assert rendered[0] == ('p so h?\nOPTIONS:\n- yes\n- no', 'no', ('yes', 'no'))
  assert rendered[1] == ('Write one.', 'P: p H: h', ())
  assert rendered[2] == rendered[3] == ('{x} t', 's', ())
  assert counts['left_out'] == 3
  with pytest.raises(importers.SourceError, match='cannot be read'):
    list(flan.read(tmp_path / 'nowhere'))


def test_multiprompt(tmp_path):
  (tmp_path / 'navigate.csv').write_text(
    'prompt idx,method,prompt template,correct\n1,default,{instructions}?,1\n2,rephrase,"Go: {instructions}\n{options}",1\n'
    '3,rephrase,wrong {instructions},0\n4,rephrase,{a b},1\n5,rephrase,{instructions}!,0?\n'
  )
  bank, counts = _bank(multiprompt.read(tmp_path, 'bbh'), tmp_path / 'out')
  assert [(i.id, i.role, i.source) for i in bank] == [
    ('multiprompt/bbh_navigate/p001', 'default', '1'),
    ('multiprompt/bbh_navigate/p002', 'evaluation', '2'),
    ('multiprompt/bbh_navigate/p003', 'incorrect', '3'),
  ]
  item = {'instructions': 'left', 'options': ['x', 'y'], 'answer': 'y'}
  assert bank['multiprompt/bbh_navigate/p002'].layout.render(item) == ('Go: left\n(A) x\n(B) y', 'B', ('A', 'B'))
  assert counts['left_out'] == 2
  with pytest.raises(importers.SourceError, match='holds no CSV file'):
    list(multiprompt.read(tmp_path / 'out', 'bbh'))


def test_promptsource(tmp_path):
  folder = tmp_path / 'templates' / 'super_glue' / 'rte'
  folder.mkdir(parents=True)
  (folder / 'templates.yaml').write_text(
    'dataset: super_glue\ntemplates:\n'
    '  a: !Template\n    answer_choices: "yes ||| no"\n    jinja: "{{premise}} Thus, {{hypothesis}}? ||| {{ answer_choices[label] }}"\n'
    '    name: thus\n'
    '  b: !Template\n    answer_choices: null\n    jinja: "{% if x %}a{% endif %} ||| {{y}}"\n    name: computed\n'
    '  c: !Template\n    answer_choices: null\n    jinja: "no answer"\n    name: open\n'
  )
  bank, counts = _bank(promptsource.read(tmp_path / 'templates'), tmp_path / 'out')
  (instruction,) = bank
  assert (instruction.id, instruction.source) == ('P3/super_glue_rte/t01', 'thus')
  item = {'premise': 'p', 'hypothesis': 'h', 'answer': 'no', 'options': ['yes', 'no']}
  assert instruction.layout.render(item) == ('p Thus, h?', 'no', ('yes', 'no'))
  assert counts['left_out'] == 2
  with pytest.raises(importers.SourceError, match='holds no templates.yaml'):
    list(promptsource.read(tmp_path / 'out'))


def test_tables_of_phrasings(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text(
    'template,task,id,options,answer\n"{question}, please",t,x,,\n"{question} {options}",t,y,bullets,text\n'
  )
  bank, _ = _bank([table.read(path, 'mine')], tmp_path / 'out')
  assert [i.id for i in bank] == ['mine/t/x', 'mine/t/y'] and not bank['mine/t/x'].verbatim
  path.write_text('template,id,colour\n{a b},x,red\nfine {q},x x,\nfine {q} too,x,\n')
  with pytest.raises(importers.SourceError) as error:
    table.read(path, 'mine')
  message = str(error.value)
  for part in (
    "unknown column 'colour'",
    'give --task',
    'line 2: a brace',
    "line 3: id 'x x'",
    "line 4: the id 'x' stands",
  ):
    assert part in message, message


def test_nothing_is_written_over(tmp_path):
  (tmp_path / 'old.yaml').write_text('x')
  with pytest.raises(importers.SourceError, match='already holds YAML files'):
    importers.write('x', [], tmp_path)
