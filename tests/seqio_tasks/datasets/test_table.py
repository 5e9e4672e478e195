"""Tests of reading examples from a file of one's own."""

import json
import pathlib
import shutil

import pyarrow as pa
from pyarrow import parquet
import pytest

from seqio_tasks import datasets, tables


def test_tables_of_ones_own(tmp_path):
  csv = tmp_path / 'mine.csv'
  csv.write_text('question,o1,o2,o3,key,part\nq,a,b,,B,train\n{r},a,b,c,C,test\ns,a,b,c,D,test\n')
  options = {'answer': 'key', 'options': ['o1', 'o2', 'o3'], 'answer_is': 'letter', 'split': 'part'}
  (dataset,) = datasets.table(csv, 'mine', ['multiple_choice'], **options)
  assert sorted(dataset.splits) == ['test', 'train'] and dataset.fields == ('question',)
  (train,), (test,) = dataset.splits['train'](), dataset.splits['test']()
  assert (train['gold'], train['options']) == ('b', ['a', 'b'])
  assert (test['gold'], test['fields'], test['example_id']) == ('c', {'question': '{r}'}, '3')
  jsonl = tmp_path / 'mine.jsonl'
  jsonl.write_text('{"text": "t", "labels": ["x", "y"], "answer": 2}\n{"text": "u"}\n')
  (dataset,) = datasets.table(jsonl, 'mine', ['classification'], options='labels', answer_is='number')
  assert [e['gold'] for e in dataset.splits['test']()] == ['y']


@pytest.mark.parametrize(
  ('name', 'text', 'settings', 'message'),
  [
    ('a.txt', 'x', {}, 'is neither .csv, .jsonl nor .parquet'),
    ('a.csv', 'question\nq\n', {}, r"line 1: has no column \['answer'\]"),
    ('a.csv', 'question,answer\nq\n', {'strict': True}, 'line 2: has 1 cells'),
    ('a.csv', 'question,answer\nq\n', {}, 'has no row that can be used'),
    (
      'a.csv',
      'q,o,answer\nq,x|y,z\n',
      {'options': 'o', 'strict': True},
      "line 2: the answer 'z' is not among the options",
    ),
    ('a.csv', 'q,o,answer\nq,x,x\n', {'options': 'o', 'strict': True}, 'line 2: has 1 options'),
    (
      'a.csv',
      'q,o,answer\nq,x|y,C\n',
      {'options': 'o', 'answer_is': 'letter', 'strict': True},
      'not the letter of one of 2',
    ),
    ('a.csv', 'q,answer\n', {'answer_is': 'roman'}, 'use text, letter, number or index'),
    ('a.jsonl', '{"answer": "x", "o": 3}\n', {'options': 'o', 'strict': True}, "line 1: column 'o' is not a list"),
  ],
)
def test_faults_of_tables_name_the_line(tmp_path, name, text, settings, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(datasets.DatasetError, match=message):
    datasets.table(tmp_path / name, 'mine', ['x'], **settings)


def test_columns_called_as_a_layouts_own_are_the_datas(tmp_path, caplog):
  csv = tmp_path / 'mine.csv'
  csv.write_text('question,answer,options,label,verdict,choices\nq,eight,all,7,Yes,No|Yes\n')
  (dataset,) = datasets.table(csv, 'mine', ['x'], answer='verdict', options='choices')
  assert dataset.fields == ('question', 'data_answer', 'data_options', 'data_label')
  (example,) = dataset.splits['test']()
  item = datasets.item_of(example)
  assert (item['answer'], item['options'], item['data_answer'], item['data_label']) == (
    'Yes',
    ['No', 'Yes'],
    'eight',
    '7',
  )
  assert "the column 'answer' is {data_answer}, 'options' is {data_options}, 'label' is {data_label}" in caplog.text
  # Examples of any source: what a layout means by a name is never a field.
  assert datasets.item_of({'fields': {'answer': 'x', 'option_1': 'y'}, 'gold': 'g', 'options': []}) == {
    'data_answer': 'x', 'data_option_1': 'y', 'options': [], 'answer': 'g'
  }  # fmt: skip


def test_nothing_stays_nothing_and_na_a_text(tmp_path):
  path = tmp_path / 'data.jsonl'
  path.write_text(
    '{"question": "Namibia?", "choices": ["NA", "None"], "answer": "NA"}\n'
    '{"question": null, "choices": ["a", "b"], "answer": "a"}\n'
    '{"question": NaN, "choices": ["a", "b"], "answer": "a"}\n'
    '{"question": "q", "choices": ["a", null], "answer": "a"}\n'
    '{"question": "q", "choices": ["a", "b"], "answer": " "}\n'
    '{"choices": ["a", "b"], "answer": "a"}\n'
    '{"question": "q", "question": "r", "choices": ["a", "b"], "answer": "a"}\n'
  )
  (dataset,) = datasets.table(path, 'mine', ['multiple_choice'], options='choices')
  (example,) = dataset.splits['test']()
  assert (example['gold'], example['options']) == ('NA', ['NA', 'None'])
  left_out = datasets.readings()[str(path)]['left_out']
  assert {reason: entry['rows'] for reason, entry in left_out.items()} == {
    'is not a row that can be read': 1,
    'a field is null or NaN': 2,
    'an option is null or NaN': 1,
    'no right answer': 1,
    'a column is missing': 1,
  }


def test_a_blank_among_the_options_moves_no_letter(tmp_path):
  path = tmp_path / 'data.csv'
  path.write_text('question,A,B,C,answer,split\nq,a,,c,B, test\nq,a,b,,B,test \nq,a,b,c,A, \n')
  (dataset,) = datasets.table(path, 'mine', ['x'], options=['A', 'B', 'C'], answer_is='letter', split='split')
  (example,) = dataset.splits['test']()
  assert (example['example_id'], example['gold'], example['options']) == ('3', 'b', ['a', 'b'])


HF = pathlib.Path(__file__).parents[2] / 'data' / 'hf_datasets'
SETTINGS = {'options': 'choices.text', 'answer_is': 'letter'}


@pytest.mark.parametrize('layout', ['saved', 'hub'])
def test_directories_of_hugging_faces_library(layout):
  """As the library wrote them: splits, a structure, a class label, and bytes, which no template can take."""
  [made] = datasets.table(HF / layout, 'hf', ['multiple_choice'], split='split', **SETTINGS)
  assert {split: len(read()) for split, read in made.splits.items()} == {'train': 2, 'test': 3}
  assert made.fields == ('question', 'choices.source')
  example = made.splits['test']()[1]
  assert (example['gold'], example['gold_index'], example['options']) == ('4', 1, ['3', '4'])
  assert example['fields'] == {'question': 'Which is 3?', 'choices.source': 'made up'}
  with pytest.raises(datasets.DatasetError, match='has the splits .*; set SPLIT_COLUMN to'):
    datasets.table(HF / layout, 'hf', ['multiple_choice'], **SETTINGS)
  [one] = datasets.table(HF / 'saved' / 'test', 'hf', ['multiple_choice'], **SETTINGS)
  assert [e['options'] for e in one.splits['test']()] == [['2', '3'], ['3', '4'], ['4', '5']]
  assert 'split' not in one.fields


def test_the_right_option_is_that_with_the_label(tmp_path, caplog):
  def row(answer, labels, texts=('two', 'three', 'four')):
    return {'question': 'Which?', 'choices': {'text': list(texts), 'label': labels}, 'answer': answer}

  rows = [
    row('A', ['A', 'B', 'C']), row('A', ['C', 'B', 'A']), row('2', ['1', '2', '3']), row('b', ['C', 'A', 'B']),
    row('D', ['A', 'B', 'C']), row('A', ['A', 'A', 'B']), row('A', ['A', 'B']), row('3', ['3', '2', '1'], ('two', 'three', '')),
    row('1', ['3', '2', '1'], ('two', 'three', '')), row('0', ['0', '1', '2']),
  ]  # fmt: skip
  path = tmp_path / 'arc.parquet'
  parquet.write_table(pa.Table.from_pylist(rows), path)
  for answer_is in ('letter', 'number'):
    [made] = datasets.table(path, 'arc', ['x'], options='choices.text', answer_is=answer_is)
    found = {e['example_id']: e['gold'] for e in made.splits['test']()}
    assert found == {'1': 'two', '2': 'four', '3': 'three', '4': 'four', '8': 'two', '10': 'two'}
  assert "row 5: the answer 'D' is not among the labels ['A', 'B', 'C'] of the options" in caplog.text
  assert datasets.readings()[str(path)]['left_out']['no labels of the options']['rows'] == 2
  # Answers that are texts need no label, and whole numbers beside a missing one are 1.0.
  numbers = [row(1.0, [2, 1, 3]), row(2.0, [2, 1, 3])]
  parquet.write_table(pa.Table.from_pylist(numbers), tmp_path / 'numbers.parquet')
  [made] = datasets.table(tmp_path / 'numbers.parquet', 'n', ['x'], options='choices.text', answer_is='number')
  assert [e['gold'] for e in made.splits['test']()] == ['three', 'two']
  parquet.write_table(pa.Table.from_pylist([row('three', ['C', 'B', 'A'])]), tmp_path / 'texts.parquet')
  [made] = datasets.table(tmp_path / 'texts.parquet', 't', ['x'], options='choices.text')
  assert made.splits['test']()[0]['gold_index'] == 1


def test_parquet_has_the_checks_of_json_lines(tmp_path, caplog):
  rows = [
    {'question': 'Which?', 'o': ['a', 'b'], 'answer': 'a', 'n': 1.5},
    {'question': None, 'o': ['a', 'b'], 'answer': 'a', 'n': 1.0},
    {'question': 'Which?', 'o': ['a', 'b'], 'answer': 'c', 'n': 1.0},
    {'question': 'Which?', 'o': ['a', None], 'answer': 'a', 'n': 1.0},
    {'question': 'Which?', 'o': None, 'answer': 'a', 'n': 1.0},
  ]
  path = tmp_path / 'mine.parquet'
  parquet.write_table(pa.Table.from_pylist(rows), path)
  [made] = datasets.table(path, 'mine', ['multiple_choice'], options='o')
  [example] = made.splits['test']()
  assert (example['example_id'], example['fields']) == ('1', {'question': 'Which?', 'n': '1.5'})
  for said in (
    "row 2: the fields ['question'] hold nothing", "row 3: the answer 'c' is not among",
    "row 4: an option of ['a', None] is null", "row 5: has no ['o']",
  ):  # fmt: skip
    with pytest.raises(datasets.DatasetError) as e:
      parquet.write_table(pa.Table.from_pylist([rows[0]] * (int(said[4]) - 1) + [rows[int(said[4]) - 1]]), path)
      datasets.table(path, said, ['multiple_choice'], options='o', strict=True)
    assert said in str(e.value) and str(path) in str(e.value)


@pytest.mark.parametrize('layout', ['saved', 'hub'])
def test_damaged_files_are_named(tmp_path, layout):
  place = tmp_path / layout
  shutil.copytree(HF / layout, place)
  file = sorted([*place.rglob('*.arrow'), *place.rglob('*.parquet')])[0]
  whole = file.read_bytes()
  for data in (whole[: len(whole) // 2], b'', b'\xff' * 100, whole[:200] + b'\xff' * 200 + whole[400:]):
    file.write_bytes(data)
    with pytest.raises(datasets.DatasetError, match=f'{file.name}: is not a whole Parquet or Arrow file'):
      datasets.table(place, str(len(data)), ['multiple_choice'], split='split', **SETTINGS)


def test_a_directory_without_tables(tmp_path):
  with pytest.raises(datasets.DatasetError, match='nor a directory with .parquet or .arrow files'):
    datasets.table(tmp_path, 'x', ['multiple_choice'])


@pytest.mark.parametrize('zero', ['0', ' 0 ', '00', '0.0'])
def test_numbers_that_count_from_0_are_no_numbers_of_options(tmp_path, zero):
  """Of golds 0 to 3 the first would be left out, and all others would be the option before the right one."""
  path = tmp_path / 'mine.csv'
  path.write_text(f'question,o,answer\nq,a|b,1\nq,a,{zero}\n')  # whatever else is wrong with the row
  with pytest.raises(datasets.DatasetError, match='mine.csv: line 3: .* seem to count from 0; set ANSWER_IS to index'):
    datasets.table(path, 'mine', ['x'], options='o', answer_is='number')
  path.write_text('question,o,answer\nq,a|b,1\nr,a|b,2.0\ns,a|b,3\n')
  (made,) = datasets.table(path, 'mine', ['x'], options='o', answer_is='number')
  assert [(e['gold'], e['gold_index']) for e in made.splits['test']()] == [('a', 0), ('b', 1)]


def test_numbers_that_count_from_0(tmp_path):
  def read(name, text):
    path = tmp_path / name
    path.write_text('question,o,answer\n' + text)
    (made,) = datasets.table(path, 'mine', ['x'], options='o', answer_is='index')
    return [(e['gold'], e['gold_index']) for e in made.splits['test']()]

  assert read('zero.csv', 'q,a|b,0\nr,a|b,1.0\ns,a|b|c,2\nt,a|b,2\n') == [('a', 0), ('b', 1), ('c', 2)]
  # Without a 0, what is one too many tells that all are one too many.
  with pytest.raises(datasets.DatasetError, match='one.csv: line 3: .* no row has a 0: .* set ANSWER_IS to number'):
    read('one.csv', 'q,a|b,1\nr,a|b|c,3\n')


def test_letters_are_single_ones(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text('question,o,answer\nq,a|b,b\nq,a|b,AB\nq,a|b,\u00df\nq,a|b,(A)\nq,a|b,\u0391\n', encoding='utf-8')
  (made,) = datasets.table(path, 'mine', ['x'], options='o', answer_is='letter')
  assert [(e['example_id'], e['gold']) for e in made.splits['test']()] == [('2', 'b')]
  assert datasets.readings()[str(path)]['left_out']['the answer is no option']['rows'] == 4


def test_what_is_no_text_is_neither_option_nor_field(tmp_path, caplog):
  path = tmp_path / 'mine.jsonl'
  path.write_text(
    '{"question": "q", "o": ["a", {"text": "b"}], "answer": "a", "spans": []}\n'
    '{"question": "q", "o": ["a", ["b"]], "answer": "a", "spans": [1, 2]}\n'
    '{"question": "q", "o": ["a", 7], "answer": 7, "spans": {"at": 1}}\n'
  )
  (made,) = datasets.table(path, 'mine', ['x'], options='o')
  (example,) = made.splits['test']()
  assert (example['gold'], example['options'], example['fields']) == ('7', ['a', '7'], {'question': 'q'})
  assert datasets.readings()[str(path)]['left_out']['an option is no text']['rows'] == 2
  assert "the columns ['spans'] hold lists or objects, which no template can name" in caplog.text


def test_null_or_nan_is_a_blank_among_options_in_columns_of_their_own(tmp_path):
  rows = [
    {'question': 'q', 'A': 1.0, 'B': 2.5, 'C': 'x', 'answer': 'C'},
    {'question': 'q', 'A': 1.0, 'B': 2.5, 'C': None, 'answer': 'B'},
    {'question': 'q', 'A': 1.0, 'B': 2.5, 'C': None, 'answer': 'C'},
    {'question': 'q', 'A': 1.0, 'B': float('nan'), 'C': None, 'answer': 'A'},
    {'question': 'q', 'A': 1.0, 'B': float('nan'), 'C': 'x', 'answer': 'A'},
  ]
  parquet.write_table(pa.Table.from_pylist(rows), tmp_path / 'mine.parquet')
  lines = [{c: v for c, v in row.items() if v == v and v is not None} for row in rows]  # without what there is not
  (tmp_path / 'mine.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in lines))
  for path in (tmp_path / 'mine.parquet', tmp_path / 'mine.jsonl'):
    (made,) = datasets.table(path, 'mine', ['x'], options=['A', 'B', 'C'], answer_is='letter')
    assert [e['options'] for e in made.splits['test']()] == [['1.0', '2.5', 'x'], ['1.0', '2.5']]
    left_out = datasets.readings()[str(path)]['left_out']
    assert {reason: told['rows'] for reason, told in left_out.items()} == {
      'the answer is no option': 1, 'fewer than two options': 1, 'a blank among the options': 1
    }  # fmt: skip
  with pytest.raises(datasets.DatasetError, match=r"mine.jsonl: line 1: has no \['D'\]"):
    datasets.table(path, 'mine', ['x'], options=['A', 'B', 'D'], answer_is='letter', strict=True)


def test_columns_that_nobody_asks_for_leave_no_row_out(tmp_path, caplog):
  rows = [{'question': f'q{i}', 'o': ['a', 'b'], 'answer': 'a', 'hint': ''} for i in range(3)]
  rows[2] |= {'image': {'bytes': b'x', 'path': 'p'}}
  path = tmp_path / 'science.parquet'
  parquet.write_table(pa.Table.from_pylist(rows, schema=pa.Table.from_pylist(rows[2:]).schema), path)
  (made,) = datasets.table(path, 'science', ['x'], options='o')
  assert made.fields == ('question', 'hint') and len(made.splits['test']()) == 3
  assert (
    "science.parquet: no template can name the columns that hold nothing in some of the rows: 'image.path' (2 of 3)"
    in caplog.text
  )
  # Whether the first row has it or another.
  for name, place in (('first', 0), ('last', 2)):
    path = tmp_path / f'{name}.jsonl'
    made_of = [
      {'question': f'q{i}', 'answer': 'a'} | ({'note': 'n', 'empty': None} if i == place else {}) for i in range(3)
    ]
    path.write_text(''.join(json.dumps(row) + '\n' for row in [*made_of, {'answer': 'a', 'note': 'n'}]))
    (made,) = datasets.table(path, name, ['x'])
    assert made.fields == ('question',) and len(made.splits['test']()) == 3
    assert (
      f"{name}.jsonl: no template can name the columns that hold nothing in some of the rows: 'note' (2 of 3), 'empty' (3 of 3)"
      in caplog.text
    )
    reading = datasets.readings()[str(path)]
    assert (reading['used'], reading['left_out']['a column is missing']['rows']) == (3, 1)


def test_two_columns_of_one_name_in_templates_are_refused(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text('question,label,data_label,answer\nq,1,2,a\n')
  with pytest.raises(
    datasets.DatasetError, match="templates call the column 'label' {data_label}, which is another column"
  ):
    datasets.table(path, 'mine', ['x'])


def test_blanks_around_options_and_answers_are_none_of_theirs(tmp_path):
  """A blank before one option alone would make it another text to a vocabulary."""
  path = tmp_path / 'mine.csv'
  path.write_text('question,A,B,o,answer\nq, a,b ,a| b, a\nr,a,b,a|b ,b\n')
  for options in (['A', 'B'], 'o'):
    (made,) = datasets.table(path, 'mine', ['x'], options=options)
    assert [(e['gold'], e['options']) for e in made.splits['test']()] == [('a', ['a', 'b']), ('b', ['a', 'b'])]
  (free,) = datasets.table(path, 'mine', ['x'])
  assert [e['gold'] for e in free.splits['test']()] == ['a', 'b']


def test_a_blank_question_is_none_whatever_else_the_row_has(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text('id,question,hint,answer\n7,,,yes\n8,Or?,,no\n')
  (made,) = datasets.table(path, 'mine', ['x'])
  assert [e['example_id'] for e in made.splits['test']()] == ['3']
  assert datasets.readings()[str(path)]['left_out']['a blank question']['rows'] == 1
  path = tmp_path / 'options.csv'  # the options are all there is
  path.write_text('id,question,o,answer\n7,,a|b,a\n8,,a|b,b\n')
  (made,) = datasets.table(path, 'mine', ['x'], options='o')
  assert len(made.splits['test']()) == 2


def test_splits_by_any_capitals_and_others_are_told(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text('question,part,answer\na, Test,x\nb,TRAIN,x\nc,test set,x\n')
  (made,) = datasets.table(path, 'mine', ['x'], split='part')
  assert [e['fields']['question'] for e in made.splits['test']()] == ['a']
  assert [e['fields']['question'] for e in made.splits['train']()] == ['b']
  assert datasets.readings()[f'{path}, other splits']['left_out']['of another split'] == {
    'rows': 1,
    'first': f"{path}: 'test set' (1 rows)",
  }
  path = tmp_path / 'none.csv'
  path.write_text('question,part,answer\na,Testing,x\nb,train,x\n')
  with pytest.raises(datasets.DatasetError, match="none.csv: .*'part' has the splits 'Testing' .*call the one"):
    datasets.table(path, 'mine', ['x'], split='part')


@pytest.mark.parametrize(
  'files', [('en/test-00000-of-00001', 'fr/test-00000-of-00001'), ('test-00000-of-00001', 'test')]
)
def test_two_sets_of_files_of_a_split_are_not_joined(tmp_path, files):
  for file in (*files, '.cache/test'):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({'question': ['q'], 'answer': ['x']}), tmp_path / f'{file}.parquet')
  with pytest.raises(tables.TableError, match="several sets of files of the split 'test'.*name the directory"):
    datasets.table(tmp_path, 'mine', ['x'])
  (tmp_path / f'{files[1]}.parquet').unlink()
  assert len(datasets.table(tmp_path, 'mine', ['x'])[0].splits['test']()) == 1


def test_bytes_are_no_options(tmp_path, caplog):
  path = tmp_path / 'mine.parquet'
  parquet.write_table(pa.Table.from_pylist([{'question': 'q', 'o': [b'a', b'b'], 'answer': 'A'}]), path)
  with pytest.raises(datasets.DatasetError, match='has no row that can be used'):
    datasets.table(path, 'mine', ['x'], options='o', answer_is='letter')
  assert 'is a list, an object or bytes, not a text' in caplog.text
