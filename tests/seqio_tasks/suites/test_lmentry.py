"""Tests of the LMentry reader and scorer, on made-up files laid out as the real ones."""

import csv
import json
import re

import pytest
import seqio

from seqio_tasks import answers
from seqio_tasks.bank import templates
from seqio_tasks.datasets import lmentry_files
from seqio_tasks.pipeline import registration
from seqio_tasks.suites import lmentry

COLUMNS = (
  'prompt idx,default adapter,method,language style,prompt template,correct,adapter format,adapter length,samples'
).split(',')


def _write_instances(directory, task, examples, defaults=('Default: {words} / {category}',)):
  folder = directory / 'instances'
  folder.mkdir(exist_ok=True)
  content = {
    'benchmark': 'LMentry',
    'task': task,
    'more_info': {'input_templates': list(defaults)},
    'examples': {str(i + 1): e | {'more_info': {}} for i, e in enumerate(examples)},
  }
  (folder / f'{task}.json').write_text(json.dumps(content))


def _write_phrasings(directory, task, rows, columns=COLUMNS):
  folder = directory / 'paraphrases'
  folder.mkdir(exist_ok=True)
  with (folder / f'{task}.csv').open('w', newline='') as f:
    writer = csv.DictWriter(f, columns, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)


def _row(index, template, correct='1', method='rephrase'):
  return {
    'prompt idx': index,
    'prompt template': template,
    'correct': correct,
    'method': method,
    'samples': 100,
  }


@pytest.fixture
def directory(tmp_path):
  words = [
    {'words': ['owl', 'hat', 'cup'], 'category': 'birds', 'gold': 'yes'},
    {'words': ['pan', 'pot'], 'category': 'birds', 'gold': 'no'},
  ]
  _write_instances(tmp_path, 'any_words_from_category', words)
  _write_instances(tmp_path, 'all_words_from_category', words)
  _write_instances(
    tmp_path,
    'less_letters',
    [{'word1': 'no', 'word2': 'many', 'gold': 'no'}, {'word1': 'two', 'word2': 'a', 'gold': 'a'}],
    ['short {word1} {word2}'],
  )
  _write_instances(tmp_path, 'bigger_number', [{'n1': 7, 'n2': 35, 'gold': 35}], ['big {n1} {n2}', '{n2}? {n1}'])
  _write_instances(tmp_path, 'ends_with_word', [{'word': 'today'}], ['{word}'])
  _write_phrasings(
    tmp_path,
    'any_words_from_category',
    [
      _row('1', 'Plain: {words} of {category}?\nA:', method='default'),
      _row('3', 'Bracketed: [{words}] of {category}?'),
      _row('4', 'Judged wrong: {words}', correct='0'),
      _row('9', 'Cannot be filled in: {words} {query}'),
      _row('12', 'Nor this: {words.upper()}', correct='0'),
    ],
  )
  return tmp_path


def _render(phrasing, example):
  return templates.render(phrasing.instruction.template, example['fields'])


def test_lists_are_quoted_and_joined_as_the_templates_expect(directory):
  examples = lmentry_files.load_instances(directory, 'any_words_from_category')
  assert examples[0] == {
    'example_id': 'any_words_from_category/1',
    'fields': {
      'words': '"owl", "hat", or "cup"',
      'listed_words': '"owl", "hat", "cup"',
      'category': 'birds',
    },
    'gold': 'yes',
    'options': ['yes', 'no'],
  }
  (example, _) = lmentry_files.load_instances(directory, 'all_words_from_category')
  assert example['fields']['words'] == '"owl", "hat", and "cup"'
  plain, bracketed, *_ = lmentry_files.load_phrasings(directory, 'any_words_from_category')
  assert _render(plain, examples[0]) == 'Plain: "owl", "hat", or "cup" of birds?\nA:'
  assert _render(bracketed, examples[0]) == 'Bracketed: ["owl", "hat", "cup"] of birds?'


def test_options_of_pairs_even_where_an_answer_is_the_word_no(directory):
  examples = lmentry_files.load_instances(directory, 'less_letters')
  assert [e['options'] for e in examples] == [['no', 'many'], ['two', 'a']]
  (example,) = lmentry_files.load_instances(directory, 'bigger_number')
  assert example['fields'] == {'n1': '7', 'n2': '35'}
  assert example['gold'] == '35' and example['options'] == ['7', '35']


def test_phrasings_with_judgement_role_and_problem(directory):
  loaded = lmentry_files.load_phrasings(directory, 'any_words_from_category')
  assert [(p.index, p.group, p.instruction.role) for p in loaded] == [
    (1, 'correct', 'default'),
    (3, 'correct', 'evaluation'),
    (4, 'incorrect', 'incorrect'),
    (9, 'correct', 'evaluation'),
    (12, 'incorrect', 'incorrect'),
  ]
  assert loaded[0].instruction.id == 'lmentry/any_words_from_category/1'
  assert loaded[0].instruction.collection == 'lmentry'
  assert [bool(p.problem) for p in loaded] == [False, False, False, True, True]
  assert "'query'" in loaded[3].problem and 'category' in loaded[3].problem
  assert 'brace' in loaded[4].problem


def test_default_templates_stand_in_for_an_absent_csv(directory):
  loaded = lmentry_files.load_phrasings(directory, 'bigger_number')
  assert [(p.index, p.method, p.correct) for p in loaded] == [
    (1, 'default', True),
    (2, 'default', True),
  ]
  (example,) = lmentry_files.load_instances(directory, 'bigger_number')
  assert _render(loaded[1], example) == '35? 7'


@pytest.mark.parametrize(
  ('prediction', 'gold', 'options', 'expected'),
  [
    ('apple', 'apple', (), 1),
    (' "Apple." ', 'apple', (), 1),
    ("The word 'apple'", 'apple', (), 1),
    ('the letter B', 'b', (), 1),
    ('The', 'the', (), 1),
    ('the word', 'word', (), 0),
    ('an apple', 'apple', (), 0),
    ('apple pie', 'apple', (), 0),
    ('723.', '723', (), 1),
    ('1723', '723', (), 0),
    ("don't", "don't", (), 1),
    ('', 'apple', (), 0),
    ('Yes, all of them.', 'yes', ('yes', 'no'), 1),
    ('No', 'yes', ('yes', 'no'), 0),
    ('nothing', 'no', ('yes', 'no'), 0),
    ('I say yes', 'yes', ('yes', 'no'), 0),
    ('', 'no', ('yes', 'no'), 0),
    ('no many', 'no', ('no', 'many'), 0),
  ],
)
def test_scores(prediction, gold, options, expected):
  assert answers.lmentry_score(prediction, gold, options) == expected


def test_metrics_are_mean_scores():
  assert lmentry.lmentry(['a', 'b', 'no', 'd'], ['A', 'b.', 'no way', '']) == {'lmentry': 0.5}
  assert lmentry.lmentry_yes_no(['no', 'yes'], ['no way', 'no']) == {'lmentry': 0.5}


def test_registered_tasks(directory, tiny_vocabulary_path, caplog):
  vocabulary = seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=0)
  tasks = ['any_words_from_category', 'less_letters']
  names = lmentry.register_lmentry(directory, tasks, vocabulary, num_examples=2)
  assert names == [
    'lmentry_any_words_from_category_eval',
    'lmentry_less_letters_eval',
    'lmentry_any_words_from_category_eval_incorrect',
    'lmentry_any_words_from_category__1',
    'lmentry_any_words_from_category__3',
    'lmentry_any_words_from_category__4',
    'lmentry_less_letters__1',
    'lmentry_eval',
    'lmentry_eval_incorrect',
  ]
  assert 'lmentry/any_words_from_category/9 is left out' in caplog.text
  assert lmentry.register_lmentry(directory, tasks, vocabulary, num_examples=2) == names
  assert registration.evaluation_tasks('lmentry_eval') == names[:2]
  assert registration.evaluation_task(names[2]).group == 'incorrect'
  assert registration.evaluation_task(names[0]).dataset == 'lmentry_any_words_from_category'
  task = seqio.TaskRegistry.get(names[0])
  rows = list(task.get_dataset(None, split='test', shuffle=False).as_numpy_iterator())
  assert [(r['example_id'].decode(), r['instruction_id'].decode()) for r in rows] == [
    (f'any_words_from_category/{i}', f'lmentry/any_words_from_category/{j}') for i in (1, 2) for j in (1, 3)
  ]
  assert rows[0]['inputs_pretokenized'] == b'Plain: "owl", "hat", or "cup" of birds?\nA:'
  assert task.metric_fns == [lmentry.lmentry_yes_no]
  assert seqio.TaskRegistry.get(names[1]).metric_fns == [lmentry.lmentry]


def test_what_cannot_be_registered(directory):
  with pytest.raises(lmentry_files.LmentryError, match="unknown LMentry task 'homophones'; choose among"):
    lmentry.register_lmentry(directory, ['homophones'], None)
  with pytest.raises(lmentry_files.LmentryError, match='num_examples is 100, but .* has 2 instances'):
    lmentry.register_lmentry(directory, ['less_letters'], None)


def test_missing_files_and_fields_are_named(directory, tmp_path):
  with pytest.raises(lmentry_files.LmentryError, match='nowhere.instances: no such directory; name'):
    lmentry_files.load_instances(tmp_path / 'nowhere', 'less_letters')
  with pytest.raises(lmentry_files.LmentryError, match='word_after.json: no such file.*less_letters'):
    lmentry_files.load_instances(directory, 'word_after')
  (open_one,) = lmentry_files.load_instances(directory, 'ends_with_word')
  assert open_one['gold'] == 'ends_with_word: today'
  _write_instances(
    directory,
    'word_before',
    [{'sentence': 'a b', 'word': 'b', 'gold': 'a'}, {'sentence': 'c d', 'gold': 'c'}],
  )
  with pytest.raises(lmentry_files.LmentryError, match="word_before.json: instance '2' has no 'word'"):
    lmentry_files.load_instances(directory, 'word_before')
  (directory / 'instances' / 'first_word.json').write_text('{')
  with pytest.raises(lmentry_files.LmentryError, match='first_word.json: is not JSON'):
    lmentry_files.load_phrasings(directory, 'first_word')


@pytest.mark.parametrize(
  ('rows', 'columns', 'message'),
  [
    ([_row('1', 'x')], [c for c in COLUMNS if c != 'correct'], r"no column \['correct'\]"),
    ([_row('1', 'x'), _row('1', 'y')], COLUMNS, "prompt idx '1': must be a whole number"),
    ([_row('one', 'x')], COLUMNS, "prompt idx 'one': must be a whole number"),
    ([_row('1', 'x', correct='yes')], COLUMNS, "column 'correct' is 'yes'; it must be 0 or 1"),
    ([_row('1', '')], COLUMNS, "column 'prompt template' is empty"),
    ([], COLUMNS, 'has no phrasing'),
  ],
)
def test_malformed_phrasings_are_named(directory, rows, columns, message):
  _write_phrasings(directory, 'less_letters', rows, columns)
  with pytest.raises(lmentry_files.LmentryError, match=f'less_letters.csv.*{message}'):
    lmentry_files.load_phrasings(directory, 'less_letters')


def test_the_real_files_can_be_read_and_filled_in(shared_data):
  directory = shared_data / 'lmentry'
  if not directory.is_dir():
    pytest.skip(f'no LMentry data at {directory}')
  problems = {}
  for task in lmentry_files.TASKS:
    examples = lmentry_files.load_instances(directory, task)
    assert len(examples) == 1000
    assert all(not e['options'] or e['gold'] in e['options'] for e in examples)
    assert all(answers.lmentry_score(e['gold'], e['gold'], e['options']) == 1.0 for e in examples)
    loaded = lmentry_files.load_phrasings(directory, task)
    assert [p.index for p in loaded[:3]] == [1, 2, 3]
    assert {p.method for p in loaded[:3]} == {'default'}
    for p in loaded:
      if p.problem:
        problems[p.instruction.id] = p.correct
      else:
        text = _render(p, examples[0])
        assert not re.search(r'[{}]', text)
  # One phrasing judged correct has a field that no instance has.
  assert [id_ for id_, correct in problems.items() if correct] == ['lmentry/word_before/181']
  (example, *_) = lmentry_files.load_instances(directory, 'all_words_from_category')
  assert re.fullmatch(r'("\w+", ){4}and "\w+"', example['fields']['words'])
