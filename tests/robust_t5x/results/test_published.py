"""Results of others as the one results table: layouts, grains, what is left out and listed, and bad files."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from robust_t5x import report
from robust_t5x.analysis.comparison import compare
from robust_t5x.results import schema
from robust_t5x.results.reading import read

INSTRUCTION_EVAL = """Model,Dataset,Collection,Type,ID,Shots,Performance,Metric,Include?
M,D,BBL,Default,1,0,0.5,Logits,TRUE
M,D,BBL,Unobserved,1,0,0.4,Logits,True
M,D,BBL,Unobserved,2,0,PD,Logits,TRUE
M,D,NIV2,QA,1,0,0.7,Logits,TRUE
M,D,NIV2,BC,1,0,0.6,Logits,TRUE
M,D,NIV2,QA,1,0,0.71,Logits,TRUE
M,D,NIV2,QA,2,0,0.1,Logits,FALSE
M,D,NIV2,QA,3,1,0.9,Logits,TRUE
"""


def _write(path, text):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  return str(path)


def test_instruction_eval(tmp_path):
  table, record = read(_write(tmp_path / 'm.csv', INSTRUCTION_EVAL))
  assert schema.grain(table) == schema.PHRASING
  found = list(table[['dataset', 'group', 'instruction_id', 'score']].itertuples(index=False, name=None))
  assert found == [
    ('D', 'default', 'BBL/Default/1', 0.5),
    ('D', 'unobserved', 'BBL/Unobserved/1', 0.4),
    ('D', 'observed', 'NIV2/QA/1', 0.7),
    ('D', 'observed', 'NIV2/BC/1', 0.6),
    ('D, shots: 1', 'observed', 'NIV2/QA/3', 0.9),
  ]
  listed = [(entry['row'], entry['reason']) for entry in record['left_out']]
  assert [row for row, _ in listed] == [4, 7, 8]
  assert "'PD', not a number" in listed[0][1]
  assert 'a second row of the same' in listed[1][1]
  assert 'Include?' in listed[2][1]
  assert record['left_out'][0]['content']['ID'] == '2'


def test_multi_prompt(tmp_path):
  path = _write(tmp_path / 'published_accuracies/t.csv', 'paraphrase idx,a_acc,b_acc\n1,0.5,0.25\n3,0.75,\n3,0,0\n')
  alone, _ = read(path)
  assert set(alone['group']) == {'paraphrase'}
  _write(
    tmp_path / 'paraphrases/t.csv', 'prompt idx,prompt template,correct\n1,"Say\n{x}",1\n2,unused,1\n3,Eat {x},0?\n'
  )
  table, record = read(str(tmp_path / 'published_accuracies'))
  found = list(table[['model', 'dataset', 'instruction_id', 'group', 'score']].itertuples(index=False, name=None))
  assert found == [
    ('a', 't', 't/1', 'correct', 0.5),
    ('a', 't', 't/3', 'incorrect', 0.75),
    ('b', 't', 't/1', 'correct', 0.25),
  ]
  assert record['instructions']['t/1'] == 'Say\n{x}'
  assert [(e['row'], e['reason']) for e in record['left_out']] == [
    (4, 'a second row of paraphrase idx 3'),
    (3, "b_acc is '', not a number"),
  ]
  with pytest.raises(schema.ResultsError, match=r'\(a\) has|\(b\) has no incorrect'):
    compare([str(tmp_path / 'published_accuracies')])


def test_generic_per_phrasing(tmp_path, capsys):
  rows = (
    'dataset,instruction_id,score,group,template,num_examples\nd,i,0.5,unobserved,"Say, {x}",50\nd,j,1,observed,,50\n'
  )
  path = _write(tmp_path / 'mine.csv', rows)
  comparison = compare([path])
  assert comparison.models == ('mine',)
  assert comparison.gap('mine').estimate == -0.5
  assert comparison.phrasings['template'].tolist() == ['Say, {x}', '']
  assert 'case-level worst' not in comparison.metric_names
  for needs in (
    lambda: comparison.interval('mine', 'observed', 'PSS'),
    lambda: comparison.answer_agreement('mine', 'observed'),
    lambda: comparison.mcnemar('mine', 'observed'),
  ):
    with pytest.raises(schema.GrainError, match=rf'needs per-example scores; {path} has accuracies per phrasing'):
      needs()
  assert report.main([path, '--out', str(tmp_path / 'report')]) == 0
  assert '50.0 points' in capsys.readouterr().out


def test_generic_per_example_is_like_an_evaluation(tmp_path):
  table = pd.DataFrame(
    [(f'e{e}', f'i{i}', float((e + i) % 3 > 0), 'yes' if e else 'NA') for e in range(6) for i in range(4)],
    columns=['example_id', 'instruction_id', 'score', 'prediction'],
  ).assign(dataset='d', model='m')
  path = tmp_path / 'cells.csv'
  table.to_csv(path, index=False)
  found, record = read(str(path))
  assert list(found.columns) == list(schema.COLUMNS)
  assert schema.grain(found) == schema.EXAMPLE
  assert set(found['prediction']) == {'yes', 'NA'}
  comparison = compare([str(path)])
  assert comparison.interval('m', 'all', 'AvgP').estimate == pytest.approx(table['score'].mean())
  assert comparison.answer_agreement('m', 'all')['consistency'].estimate == 1
  assert record['label'] == 'm'


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('a,b\n1,2\n', 'the header a, b is none of a results table'),
    ('dataset,instruction_id,score\nd,i,48.1\n', r'line 2: score is 48.1; scores run from 0 to 1, divide percentages'),
    ('dataset,instruction_id,score\nd,i,x\n', 'no row with a score'),
    (
      'dataset,instruction_id,score\nd,i,1,2,3\nd,j,1,2,3,4,5\n',
      'line 2: has 5 cells where there are 3 columns; give each row equally many',
    ),
    ('', 'is empty'),
    ('dataset,instruction_id,score\nd,i,0.1,\nd,j,0.2,\n', 'line 2: has 4 cells where there are 3 columns'),
    ('dataset,instruction_id,score\nd,i,0.1\nd,j\n', 'line 3: has 2 cells where there are 3 columns'),
    ('dataset,instruction_id,score\nd,i,inf\n', 'line 2: score is inf; scores run from 0 to 1'),
    ('dataset,instruction_id,score\nd,i,-0.5\n', 'line 2: score is -0.5; scores run from 0 to 1'),
    ('dataset,instruction_id,score\nd,,1\n', 'line 2: instruction_id is empty'),
    ('dataset,instruction_id,score,score\nd,i,1,0\n', "the columns .'score'. stand twice"),
    ('dataset,instruction_id,score,num_examples\nd,i,1,x\n', "line 2: num_examples is 'x', not a whole number"),
    ('dataset,instruction_id,score,num_examples\nd,i,1,0.5\n', "line 2: num_examples is '0.5', not a whole number"),
    (
      'dataset,instruction_id,score,example_id,matched_option\nd,i,1,e,true\nd,j,1,e,maybe\n',
      "line 3: matched_option is 'maybe'; use True or False",
    ),
    (
      'dataset,instruction_id,score,example_id,truncated_tokens\nd,i,1,e,-3\n',
      "line 2: truncated_tokens is '-3', not a whole number",
    ),
    ('dataset,instruction_id,score,example_id,extracted_score\nd,i,1,e,7\n', 'line 2: extracted_score is 7'),
    (
      'dataset,instruction_id,score\nd,i,1\nd,i,0\n',
      'x.csv, line 2 and .*x.csv, line 3: of x, as given, d, all, i one has the score 1, the other 0; remove one',
    ),
    ('dataset,instruction_id,score\nd,"i,1\n', 'line 2: is not CSV'),
  ],
)
def test_bad_files(tmp_path, text, message):
  with pytest.raises(schema.ResultsError, match=message):
    read(_write(tmp_path / 'x.csv', text))


def test_a_cell_that_is_said_twice_counts_once(tmp_path):
  path = _write(tmp_path / 'x.csv', 'dataset,instruction_id,score\nd,i,1\nd,j,0\nd,i,1.0\n')
  table, record = read(path)
  assert table['score'].tolist() == [1.0, 0.0]
  assert [(e['row'], e['reason']) for e in record['left_out']] == [
    (4, f'the cell stands in {path} with the same score')
  ]


def test_the_first_row_that_counts_is_taken(tmp_path):
  rows = INSTRUCTION_EVAL.splitlines()
  again = [
    'M,D,BBL,Default,1,0,0.5,Logits,FALSE',
    'M,D,BBL,Default,1,0,?,Logits,TRUE',
    'M,D,BBL,Default,1,0,0.25,Logits,TRUE',
  ]
  table, record = read(_write(tmp_path / 'm.csv', '\n'.join([rows[0], *again]) + '\n'))
  assert table['score'].tolist() == [0.25]
  assert [e['row'] for e in record['left_out']] == [2, 3]


def test_grains_are_not_mixed(tmp_path):
  _write(tmp_path / 'a.csv', 'dataset,instruction_id,score\nd,i,1\n')
  _write(tmp_path / 'b.csv', 'dataset,instruction_id,score,example_id\nd,i,1,e\n')
  with pytest.raises(schema.ResultsError, match='some files have example_id'):
    read(str(tmp_path))
  with pytest.raises(schema.ResultsError, match='compare results of one grain'):
    compare([str(tmp_path / 'a.csv'), str(tmp_path / 'b.csv')])


def test_all_published_accuracies_are_read(shared_data):
  table, record = read(str(shared_data / 'lmentry/published_accuracies'))
  assert table['model'].nunique() == 16
  assert table['dataset'].nunique() == 10
  assert not record['left_out']
  raw = pd.read_csv(shared_data / 'lmentry/published_accuracies/homophones.csv')
  ours = table.query('model == "flan-t5-xl" and dataset == "homophones"')
  np.testing.assert_array_equal(ours['score'], raw['flan-t5-xl_acc'])
  comparison = compare([str(shared_data / 'lmentry/published_accuracies')])
  w = comparison.kendalls_w('correct')
  assert all(0 < value < 1 for value in w.values())


def test_parquet_is_read_as_csv_is(tmp_path):
  """Of each layout and grain; numbers, truth values and what is missing have the same meaning."""
  rows = [
    {'dataset': 'd', 'instruction_id': f'i{i}', 'example_id': f'e{e}', 'score': (i + e) % 2 / 1, 'matched_option': e == 1,
     'prediction': None if e else 'NA', 'option_scores': json.dumps({'a': 1.5}), 'truncated_tokens': e}
    for i in range(2) for e in range(2)
  ]  # fmt: skip
  frame = pd.DataFrame(rows)
  frame.to_csv(tmp_path / 'm.csv', index=False)
  frame.to_parquet(tmp_path / 'n.parquet')
  csv, parquet = read(str(tmp_path / 'm.csv')), read(str(tmp_path / 'n.parquet'))
  pd.testing.assert_frame_equal(csv[0].drop(columns='model'), parquet[0].drop(columns='model'))
  assert set(parquet[0]['model']) == {'n'} and parquet[1]['sources'] == [str(tmp_path / 'n.parquet')]
  old = tmp_path / 'old'
  old.mkdir()
  pd.read_csv(io.StringIO(INSTRUCTION_EVAL), keep_default_na=False).to_parquet(old / 'm.parquet')
  table, record = read(str(old))
  assert table['score'].tolist() == [0.5, 0.4, 0.7, 0.6, 0.9] and len(record['left_out']) == 3


def test_of_a_table_in_both_formats_one_is_read(tmp_path):
  frame = pd.DataFrame({'dataset': ['d'], 'instruction_id': ['i'], 'score': [0.5]})
  frame.to_csv(tmp_path / 'm.csv', index=False)
  frame.assign(score=0.75).to_parquet(tmp_path / 'm.parquet')
  assert read(str(tmp_path))[0]['score'].tolist() == [0.5]


def test_truth_values_are_scores(tmp_path):
  cells = [('d', f'i{i}', f'e{e}', (i + e) % 3 == 0) for i in range(2) for e in range(3)]
  frame = pd.DataFrame(cells, columns=['dataset', 'instruction_id', 'example_id', 'score'])
  frame['extracted_score'] = [True, None, False, True, True, True]
  frame.to_parquet(tmp_path / 'm.parquet')
  frame.to_csv(tmp_path / 'n.csv', index=False)
  for name in ('m.parquet', 'n.csv'):
    table, record = read(str(tmp_path / name))
    assert list(table['score']) == [1, 0, 0, 0, 0, 1] and not record['left_out']
    assert list(table['extracted_score'].fillna(-1)) == [1, -1, 0, 1, 1, 1]
  path = _write(tmp_path / 'p.csv', 'paraphrase idx,a_acc\n1,TRUE\n2,false\n3,yes\n')
  table, record = read(path)
  assert list(table['score']) == [1, 0] and len(record['left_out']) == 1


@pytest.mark.parametrize('text', ['"0,5"', '50%', '"1.000,5 %"', '",5"'])
def test_numbers_as_others_write_them_are_no_words(tmp_path, text):
  path = _write(tmp_path / 'm.csv', f'dataset,instruction_id,score\nd,i,1\nd,j,{text}\n')
  with pytest.raises(
    schema.ResultsError, match='m.csv: line 3: score is .*; write numbers from 0 to 1 with a decimal point'
  ):
    read(path)


def test_ids_that_were_beside_a_missing_one(tmp_path):
  frame = pd.DataFrame({'model': 'm', 'dataset': 'd', 'instruction_id': 'i', 'example_id': [1.0, 2.0], 'score': [1, 0]})
  (tmp_path / 'r').mkdir()
  frame.to_parquet(tmp_path / 'r' / 'a.parquet')
  _write(tmp_path / 'r/b.csv', 'model,dataset,instruction_id,example_id,score\nm,d,j,1,1\nm,d,j,2,1\n')
  table, _ = read(str(tmp_path / 'r'))
  assert list(table['example_id']) == ['1', '2', '1', '2']
  # Where some are written otherwise they are names.
  path = _write(tmp_path / 'n.csv', 'dataset,instruction_id,example_id,score\nd,i,1.0,1\nd,i,1,0\n')
  assert list(read(path)[0]['example_id']) == ['1.0', '1']


def test_files_that_do_not_name_their_models_are_not_one_model(tmp_path):
  paths = [_write(tmp_path / f'{m}/results.csv', f'dataset,instruction_id,score\n{m},i,1\n') for m in 'ab']
  with pytest.raises(schema.ResultsError, match="do not name their model, and would both be called 'results'"):
    compare(paths)
  assert compare([paths[0]]).models == ('results',)


def test_bytes_of_a_parquet_file_are_texts(tmp_path):
  frame = pd.DataFrame(
    {'dataset': 'd', 'instruction_id': ['i', 'j'], 'group': [b'observed', b'unobserved'], 'score': [1, 0]}
  )
  frame.to_parquet(tmp_path / 'm.parquet')
  assert list(read(str(tmp_path / 'm.parquet'))[0]['group']) == ['observed', 'unobserved']
  frame.assign(group=[b'\xff', b'x']).to_parquet(tmp_path / 'm.parquet')
  with pytest.raises(schema.ResultsError, match='m.parquet: holds bytes that are no UTF-8'):
    read(str(tmp_path / 'm.parquet'))


def test_a_report_says_what_is_not_new(tmp_path):
  rows = [('observed', 'i', 'Pick one: {q}'), ('unobserved', 'j', 'pick one {q}.'), ('unobserved', 'k', 'Choose: {q}')]
  text = 'dataset,group,instruction_id,template,score\n' + ''.join(f'd,{g},{i},{t},0.5\n' for g, i, t in rows)
  assert report.main([_write(tmp_path / 't.csv', text), '--out', str(tmp_path / 'report')]) == 0
  page = (tmp_path / 'report' / 'report.md').read_text()
  assert (
    '1 unobserved phrasings have the words of an observed one, so that they are not new to the model; the first: j'
    in page
  )


def test_damaged_parquet(tmp_path):
  path = tmp_path / 'm.parquet'
  pd.DataFrame({'dataset': ['d'], 'instruction_id': ['i'], 'score': [0.5]}).to_parquet(path)
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(schema.ResultsError, match='m.parquet: is not a whole Parquet or Arrow file'):
    read(str(path))


def test_keys_lose_their_blanks_and_the_gap_its_capitals(tmp_path):
  text = 'dataset, group, instruction_id, score\nd, Observed, a, 0.75\nd, UNOBSERVED ,b , 0.5\nd, Typos, c, 0.25\n'
  table, _ = read(_write(tmp_path / 't.csv', text))
  assert table[['dataset', 'group', 'instruction_id']].to_numpy().tolist() == [
    ['d', 'observed', 'a'], ['d', 'unobserved', 'b'], ['d', 'Typos', 'c']
  ]  # fmt: skip
  assert compare([str(tmp_path / 't.csv')]).gap('t').estimate == -0.25
  with pytest.raises(schema.ResultsError, match='line 2 and .* line 3: of .* one has the score 0.5, the other 0.75'):
    read(_write(tmp_path / 'u.csv', 'dataset,instruction_id,score\nd,a,0.5\nd,a ,0.75\n'))


def test_one_instruction_with_two_templates_is_refused(tmp_path):
  """It would count as one phrasing in both datasets, and be shown with the text of one of them."""
  rows = 'dataset,instruction_id,template,score\na,p,Say {x},0.1\na,q,,0.3\nb,q,Tell {x},0.5\n'
  first = _write(tmp_path / 'r/a.csv', rows)
  assert read(first)[1]['instructions'] == {'p': 'Say {x}', 'q': 'Tell {x}'}
  other = _write(tmp_path / 'r/b.csv', 'model,dataset,instruction_id,template,score\nm,c,p,Write {x},0.1\n')
  with pytest.raises(
    schema.ResultsError, match="b.csv: the instruction 'p' has the template 'Write {x}', and another file"
  ):
    read(str(tmp_path / 'r'))
  with pytest.raises(
    schema.ResultsError, match="line 5: the instruction 'p' has .* 'Eat {x}', in line 2 it has 'Say {x}'"
  ):
    read(_write(tmp_path / 'c.csv', rows + 'b,p,Eat {x},0.5\n'))
  assert read(other)[1]['instructions'] == {'p': 'Write {x}'}


@pytest.mark.parametrize(
  ('rows', 'message'),
  [
    ('1,Say {x},1.0\n2,Tell {x},0.0\n', "t.csv: line 2: correct is '1.0'; it must be 1 or 0"),
    ('1,Say {x},TRUE\n2,Tell {x},FALSE\n', "line 2: correct is 'TRUE'"),
    ('01,Say {x},1\n02,Tell {x},0\n', 'there is no phrasing t/1 in ../paraphrases/t.csv'),
  ],
)
def test_judgements_that_are_not_understood_are_no_incorrect_phrasings(tmp_path, rows, message):
  path = _write(tmp_path / 'published_accuracies/t.csv', 'paraphrase idx,a_acc\n1,0.5\n2,0.25\n')
  _write(tmp_path / 'paraphrases/t.csv', 'prompt idx,prompt template,correct\n' + rows)
  with pytest.raises(schema.ResultsError, match=message):
    read(path)


def test_whole_numbers_of_phrasings_may_have_a_point_in_both_files(tmp_path):
  path = _write(tmp_path / 'published_accuracies/t.csv', 'paraphrase idx,a_acc\n1.0,0.5\n2.0,0.25\n')
  for numbers in (('1.0', ' 2.0'), ('1', '2')):
    rows = ''.join(f'{number},Say {{x}} {number.strip()[0]},1\n' for number in numbers)
    _write(tmp_path / 'paraphrases/t.csv', 'prompt idx,prompt template,correct\n' + rows)
    assert read(path)[1]['instructions'] == {'t/1': 'Say {x} 1', 't/2': 'Say {x} 2'}


def test_the_number_of_a_phrasing_that_there_is_not_is_told_in_a_line(tmp_path):
  path = _write(tmp_path / 'published_accuracies/t.csv', f'paraphrase idx,a_acc\n{"9" * 5000},0.5\n')
  _write(tmp_path / 'paraphrases/t.csv', 'prompt idx,prompt template,correct\n1,Say {x},1\n')
  with pytest.raises(schema.ResultsError, match='there is no phrasing t/9{30,}… in') as error:
    read(path)
  assert len(str(error.value)) < 600


def test_scores_without_answers_have_no_agreement(tmp_path):
  rows = ''.join(f'd,p{i},e{e},{(e + i) % 2}\n' for e in range(4) for i in range(2))
  path = _write(tmp_path / 't.csv', 'dataset,instruction_id,example_id,score\n' + rows)
  found = compare([path]).answer_agreement('t', 'all')
  assert np.isnan([found['consistency'].estimate, found["Fleiss' kappa"].estimate]).all()
  assert report.main([path, '--out', str(tmp_path / 'report')]) == 0
  assert '100.0% [100.0%, 100.0%]' not in (tmp_path / 'report/report.md').read_text()


def test_one_id_in_two_groups_is_two_phrasings(tmp_path):
  rows = ''.join(
    f'd,{group},p{i},e{e},{int(e > i + 2 * (group == "unobserved"))}\n'
    for group in ('observed', 'unobserved') for i in range(2) for e in range(5)
  )  # fmt: skip
  path = _write(tmp_path / 't.csv', 'dataset,group,instruction_id,example_id,score\n' + rows)
  comparison = compare([path])
  # 4/5 and 3/5 right of those observed, 2/5 and 1/5 of the others.
  assert comparison.gap('t').estimate == pytest.approx(-0.4)
  assert report.main([path, '--out', str(tmp_path / 'report')]) == 0


def test_hidden_files_of_a_directory_are_none(tmp_path):
  _write(tmp_path / 'r/a.csv', 'dataset,instruction_id,score\nd,p,0.5\n')
  _write(tmp_path / 'r/._a.csv', '\0')
  assert read(str(tmp_path / 'r'))[0]['score'].tolist() == [0.5]


def test_instruction_eval_in_another_spelling(tmp_path):
  """Types in small letters, and shots as pandas writes whole numbers beside a missing one."""
  text = 'Model,Dataset,Collection,Type,ID,Shots,Performance,Metric,Include?\nM,D,N,qa,1,0.0,0.7,L,true\nM,D,N,CLASSIFICATION,1,0,0.6,L,TRUE\n'
  table, _ = read(_write(tmp_path / 'm.csv', text + 'M,D,B,Unobserved,1,1.0,0.4,L,TRUE\n'))
  assert table[['dataset', 'group']].to_numpy().tolist() == [['D', 'observed']] * 2 + [['D, shots: 1', 'unobserved']]


def test_rows_of_examples_without_their_name_are_told(tmp_path):
  with pytest.raises(schema.ResultsError, match='if rows are of examples, name these in a column example_id'):
    read(_write(tmp_path / 't.csv', 'dataset,instruction_id,question,score\nd,i,1,0\nd,i,2,1\n'))
