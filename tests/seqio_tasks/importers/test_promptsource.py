"""Tests of importing promptsource's templates, on a small source of our own."""

import pytest

from seqio_tasks import importers
from seqio_tasks.importers import promptsource


def test_promptsource(tmp_path, written):
  folder = tmp_path / 'templates' / 'super_glue' / 'rte'
  folder.mkdir(parents=True)
  (folder / 'templates.yaml').write_text(
    'dataset: super_glue\ntemplates:\n'
    '  a: !Template\n    answer_choices: "yes ||| no"\n    jinja: "{{premise}} Thus, {{hypothesis}}? ||| {{ answer_choices[label] }}"\n'
    '    name: thus\n'
    '  b: !Template\n    answer_choices: null\n    jinja: "{% if x %}a{% endif %} ||| {{y}}"\n    name: computed\n'
    '  c: !Template\n    answer_choices: null\n    jinja: "no answer"\n    name: open\n'
  )
  bank, counts = written(promptsource.read(tmp_path / 'templates'))
  (instruction,) = bank
  assert (instruction.id, instruction.source) == ('P3/super_glue_rte/t01', 'thus')
  item = {'premise': 'p', 'hypothesis': 'h', 'answer': 'no', 'options': ['yes', 'no']}
  assert instruction.layout.render(item) == ('p Thus, h?', 'no', ('yes', 'no'))
  assert counts['left_out'] == 2
  with pytest.raises(importers.SourceError, match='holds no templates.yaml'):
    list(promptsource.read(tmp_path / 'out'))


def test_fields_called_as_a_layouts_own_stay_the_datas(tmp_path, written):
  folder = tmp_path / 'templates' / 'qa'
  folder.mkdir(parents=True)
  (folder / 'templates.yaml').write_text(
    'templates:\n'
    '  a: !Template\n    answer_choices: "No ||| Yes"\n    jinja: "{{question}} They say {{answer}} ({{label}} of {{options}}). ||| {{ answer_choices[label] }}"\n'
    '    name: check\n'
    '  b: !Template\n    answer_choices: null\n    jinja: "{{question}} ||| {{answer}}"\n    name: ask\n'
  )
  bank, _ = written(promptsource.read(tmp_path / 'templates'))
  item = {
    'question': 'q', 'answer': 'Yes', 'options': ['No', 'Yes'], 'data_answer': 'a', 'data_label': '1', 'data_options': 'o'
  }  # fmt: skip
  assert [i.layout.render(item)[:2] for i in bank] == [('q They say a (1 of o).', 'Yes'), ('q', 'Yes')]


def test_a_file_or_template_that_fails_ends_itself_only(tmp_path, written):
  texts = {
    'good': "templates:\n  a: {name: one, jinja: 'Q {{q}} ||| {{a}}'}\n  b: {name: two, jinja: 3}\n  c: 7\n"
    "  d: {name: four, jinja: 'Q {{größe}} ||| {{a}}'}\n  e: {name: five, jinja: 'Q {{q}} ||| {{a}}', answer_choices: [x]}\n"
    "  f: {name: six, jinja: '{% if %} ||| x'}\n",
    'laughs': 'a: &a [' + '1, ' * 99 + ']\n' + ''.join(f'{b}: &{b} [{f"*{a}, " * 99}]\n' for a, b in zip('abcde', 'bcdef', strict=True)),
    'list': '[1]',
    'no-tables': 'templates: []',
  }  # fmt: skip
  for name, text in texts.items():
    (tmp_path / 'templates' / name).mkdir(parents=True)
    (tmp_path / 'templates' / name / 'templates.yaml').write_text(text)
  (tmp_path / 'templates' / 'linked').mkdir()
  (tmp_path / 'templates' / 'linked' / 'templates.yaml').symlink_to('/dev/zero')
  bank, counts = written(promptsource.read(tmp_path / 'templates'))
  assert [i.id for i in bank] == ['P3/good/t01']
  assert counts['left_out'] == 5 + 4 and counts['whole'] == ['laughs', 'linked', 'list', 'no_tables']


def test_what_asks_for_something_else_is_a_task_of_its_own_and_no_question_has_its_answer(tmp_path, written):
  about = '\n    metadata: !TemplateMetadata\n      original_task: '
  texts = {
    'ask': ('{{question}} ||| {{ answer_choices[label] }}', 'true'),
    'invert': ('Ask what {{passage}} tells. ||| {{question}}', 'false'),
    'leak': ('{{question}} It is {{ answer_choices[label] }}. ||| {{ answer_choices[label] }}', 'true'),
    'two': ('{{question}} ||| {{ answer_choices[label] }} ||| x', 'true'),
  }
  (tmp_path / 'templates.yaml').write_text(
    'templates:\n'
    + ''.join(
      f'  {n}: !Template\n    answer_choices: No ||| Yes\n    name: {n}\n    jinja: "{text}"{about}{original}\n'
      for n, (text, original) in texts.items()
    )
  )
  bank, counts = written(promptsource.read(tmp_path))
  asked, inverted = sorted(bank, key=lambda i: i.source)
  assert (asked.source, inverted.source, inverted.task) == ('ask', 'invert', f'{asked.task}_other')
  assert counts['left_out'] == 2
