"""The verb `rerank`: other readings of ranked options as evaluations that all verbs read."""

import json

from helpers import change_record
import pandas as pd
import pytest

from robust_t5x import compare, rerank
from robust_t5x.results.reading import read
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import COLUMNS, OPTIONAL, sample_of

# (example, log-likelihoods of A and B, tokens of them, the same without a question); A is right.
ROWS = [('0', (-3.0, -2.0), (3, 1), (-6.0, -2.5)), ('1', (-2.0, -1.0), (1, 2), (-1.0, -1.5))]


def _evaluation(directory, free=False, **settings):
  fingerprint = {'backbone': 'b' * 64, 'scorer': 'rank_likelihood', 'split': 'test', 'tasks': {'t': str(free)}}
  run = Run.open(str(directory), 'frozen', fingerprint | settings)
  rows = []
  for example, scores, tokens, without in ROWS:
    for phrasing in ('p', 'q'):
      a, b = without if free else scores
      rows.append(
        dict.fromkeys(COLUMNS, 0)
        | {'model': 'frozen', 'dataset': 'd', 'group': 'unobserved', 'example_id': example, 'instruction_id': phrasing}
        | {'scorer': 'rank_likelihood', 'gold': 'A', 'prediction': 'B', 'score': 0.0, 'matched_option': True}
        | {name: OPTIONAL[name] for name in ('strict_score', 'extracted_score')}
        | {'option_scores': json.dumps({'A': a, 'B': b}), 'option_tokens': json.dumps(tokens), 'also_right': ''}
      )
  run.finish(
    {'p': '{question}', 'q': 'Well, {question}'}, {'model': {'vocabulary': 'v' * 64}}, pd.DataFrame(rows)[list(COLUMNS)]
  )
  return str(directory)


@pytest.fixture
def evaluations(tmp_path):
  return _evaluation(tmp_path / 'asked'), _evaluation(tmp_path / 'free', free=True), tmp_path / 'out'


def test_calibration_makes_an_evaluation_that_can_be_compared(evaluations, capsys):
  asked, free, out = evaluations
  arguments = [asked, '--by', 'calibrated', '--content-free', free, '--out', str(out)]
  assert rerank.main(arguments) == 0
  # Example 0: A 3 above what it has without a question, B .5; example 1: A 1 below, B .5 above.
  assert 'unobserved: 0.0% before, 50.0% calibrated' in capsys.readouterr().out
  table, record = read(str(out))
  assert table['prediction'].tolist() == ['A', 'A', 'B', 'B'] and table['score'].tolist() == [1.0, 1.0, 0.0, 0.0]
  assert set(table['model']) == {record['label']} == {'frozen, calibrated'}
  assert record['sources'] == [asked, free] and record['fingerprint']['ranked_by'] == 'calibrated'
  assert rerank.main(arguments) == 0 and 'nothing to do' in capsys.readouterr().out
  assert compare.main([asked, str(out)]) == 0
  assert '+50.0' in capsys.readouterr().out


@pytest.mark.parametrize(('by', 'label', 'rows', 'accuracy'), [
  ('per_token', 'frozen, per token', 4, 50.0),  # -1 against -2; -2 against -.5
  ('ensemble', 'frozen, ensemble of phrasings', 2, 0.0),
  ('batch_calibrated', 'frozen, calibrated by batch', 4, 50.0),  # the same margin in both examples: ties
])  # fmt: skip
def test_readings_that_need_one_table(evaluations, capsys, by, label, rows, accuracy):
  asked, _, out = evaluations
  assert rerank.main([asked, '--by', by, '--out', str(out)]) == 0
  assert f'0.0% before, {accuracy}%' in capsys.readouterr().out
  table, record = read(str(out))
  assert len(table) == rows and record['label'] == label and 'content_free' not in record['fingerprint']


def test_a_file_of_one_model_is_ranked_and_another_content_is_another_evaluation(evaluations, capsys):
  asked, free, out = evaluations
  table = read(asked)[0]
  file = out.parent / 'mine.csv'
  pd.concat([table, table.assign(model='other')]).to_csv(file, index=False)
  arguments = [str(file), '--by', 'per_token', '--out', str(out)]
  assert rerank.main(arguments) == 2 and not out.exists()
  assert 'mine.csv holds results of 2 models (frozen, other); give those of one alone' in capsys.readouterr().err
  table.to_csv(file, index=False)
  assert rerank.main(arguments) == 0 and rerank.main(arguments) == 0
  assert 'nothing to do' in capsys.readouterr().out
  table.assign(option_scores=json.dumps({'A': -9.0, 'B': -1.0})).to_csv(file, index=False)
  assert rerank.main(arguments) == 2
  assert 'holds another evaluation: ranked_from.options was' in capsys.readouterr().err
  read(free)[0].assign(model='other').to_csv(file, index=False)
  table.to_csv(out.parent / 'asked.csv', index=False)
  calibrated = [str(out.parent / 'asked.csv'), '--by', 'calibrated', '--content-free', str(file), '--out', f'{out}2']
  assert rerank.main(calibrated) == 0
  table.to_csv(file, index=False)
  assert rerank.main(calibrated) == 2
  assert 'ranked_from.content_free was' in capsys.readouterr().err


def test_a_mean_over_a_sample_of_the_cells_tells_of_how_many(tmp_path, capsys):
  sample = {'cells': {'budget': 3, 'seed': 0}}
  asked, out = _evaluation(tmp_path / 'asked', **sample), tmp_path / 'out'
  for by, words in (
    ('ensemble', '2 to 2 phrasings of an example'),
    ('batch_calibrated', '2 to 2 examples of a phrasing'),
  ):
    assert rerank.main([asked, '--by', by, '--out', str(out / by)]) == 0
    assert f'of a sample of the cells: {words}' in capsys.readouterr().out
  path = tmp_path / 'asked/results.parquet'
  pd.read_parquet(path).iloc[:3].to_parquet(path)
  change_record(tmp_path / 'asked', rows=3)
  for by in ('ensemble', 'batch_calibrated'):
    assert rerank.main([asked, '--by', by, '--out', str(out / f'{by}_of_one')]) == 2
    assert f'd has one of the {"phrasings" if by == "ensemble" else "examples"} of' in capsys.readouterr().err
  assert rerank.main([asked, '--by', 'per_token', '--out', str(out / 'each')]) == 0


def test_what_is_as_true_of_it_is_kept(tmp_path):
  """Unusable rows of the data are told again; what could have stopped early and did not is no sample."""
  whole = {'d:unobserved': {'evaluated': 4, 'cells': 4, 'estimate': 0.0, 'low': 0.0, 'high': 0.5}}
  asked = _evaluation(tmp_path / 'asked', cells={'width': 0.03, 'seed': 0})
  data = {'t': {'used': 2, 'left_out': {'an empty question': {'rows': 1, 'first': 't.csv: line 4'}}}}
  change_record(asked, data=data, stopped={'groups': whole})
  assert rerank.main([asked, '--by', 'per_token', '--out', str(tmp_path / 'out')]) == 0
  record = read(str(tmp_path / 'out'))[1]
  assert record['data'] == data and sample_of(record) is None


def test_what_does_not_go_together_is_told(evaluations, tmp_path, capsys):
  asked, free, out = evaluations

  def refused(*arguments):
    assert rerank.main([*arguments, '--out', str(out)]) == 2 and not out.exists()
    return capsys.readouterr().err

  with pytest.raises(SystemExit, match='2'):
    rerank.main([asked, '--by', 'calibrated', '--out', str(out)])
  with pytest.raises(SystemExit, match='2'):
    rerank.main([asked, '--by', 'per_token', '--content-free', free, '--out', str(out)])
  assert capsys.readouterr().err.count('--by calibrated and --content-free go together') == 2
  again = _evaluation(tmp_path / 'again')
  assert 'has the same questions as' in refused(asked, '--by', 'calibrated', '--content-free', again)
  other = _evaluation(tmp_path / 'other', free=True, backbone='c' * 64, adapter='d' * 64)
  assert 'differ in backbone, adapter; evaluate the same model' in refused(
    asked, '--by', 'calibrated', '--content-free', other
  )
  phrasings = tmp_path / 'published.csv'
  phrasings.write_text('paraphrase idx,m_acc\n1,0.5\n', encoding='utf-8')
  assert 'holds accuracies of phrasings' in refused(str(phrasings), '--by', 'per_token')
  change_record(tmp_path / 'asked', finished=None)
  assert 'interrupted' in refused(asked, '--by', 'per_token')
