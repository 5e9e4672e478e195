"""Results in every_eval_ever's schema 0.3.0: its required fields and rules, the numbers, and what cannot be written."""

import hashlib
import json
import pathlib
import re
import shutil

from helpers import change_record, scores_table, write_evaluation
import pandas as pd
import pytest
import scipy.stats

from robust_t5x.analysis.comparison import compare
from robust_t5x.reports.every_eval_ever import ExportError, Publisher, write
from robust_t5x.results.runs import Run

LAB = Publisher('Some Lab', 'third_party')
# What the schemas require, and what the records may have besides: no other field is allowed at the top.
AGGREGATE = {
  'schema_version', 'evaluation_id', 'retrieved_timestamp', 'source_metadata', 'model_info', 'eval_library', 'evaluation_results',
}  # fmt: skip
SAMPLE = {
  'schema_version', 'evaluation_id', 'model_id', 'evaluation_name', 'sample_id', 'interaction_type', 'input', 'output',
  'answer_attribution', 'evaluation',
}  # fmt: skip
PATH = r'data/[^/]+/[^/]+/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'


def _check(aggregate):
  """The schema's rules for an aggregate, by hand."""
  assert set(aggregate) >= AGGREGATE
  assert set(aggregate) <= AGGREGATE | {'evaluation_timestamp', 'detailed_evaluation_results'}
  assert set(aggregate['source_metadata']) >= {'source_type', 'source_organization_name', 'evaluator_relationship'}
  assert aggregate['source_metadata']['source_type'] in ('documentation', 'evaluation_run')
  assert set(aggregate['model_info']) >= {'name', 'id', 'additional_details'}
  assert set(aggregate['model_info']['additional_details']) >= {'deployment_type', 'model_availability'}
  assert set(aggregate['eval_library']) >= {'name', 'version'}
  for result in aggregate['evaluation_results']:
    assert set(result) >= {'evaluation_name', 'source_data', 'metric_config', 'score_details'}
    assert (
      set(result['source_data']) >= {'dataset_name', 'source_type'} and result['source_data']['source_type'] == 'other'
    )
    metric, score = result['metric_config'], result['score_details']
    assert metric['score_type'] == 'continuous' and isinstance(metric['lower_is_better'], bool)
    assert metric['min_score'] <= score['score'] <= metric['max_score']
    if 'uncertainty' in score:
      interval = score['uncertainty']['confidence_interval']
      assert interval['lower'] <= score['score'] <= interval['upper'] and interval['confidence_level'] == 0.95
  ids = [result['evaluation_result_id'] for result in aggregate['evaluation_results']]
  assert len(set(ids)) == len(ids)
  for details in _details(aggregate):
    assert all(isinstance(value, str) for value in details.values())
  return {result['evaluation_result_id']: result for result in aggregate['evaluation_results']}


def _details(value):
  if isinstance(value, dict):
    for name, inner in value.items():
      if name in ('additional_details', 'details', 'metadata'):
        yield inner
      yield from _details(inner)
  elif isinstance(value, list):
    for inner in value:
      yield from _details(inner)


def _read(path):
  """(aggregate, samples) of a written file, checked against each other."""
  aggregate = json.loads(pathlib.Path(path).read_text())
  told = aggregate.get('detailed_evaluation_results')
  if told is None:
    assert not list(pathlib.Path(path).parent.glob('*.jsonl'))
    return aggregate, []
  assert re.fullmatch(PATH + r'_samples\.jsonl', told['file_path']) and path.endswith(
    told['file_path'].replace('_samples.jsonl', '.json')
  )
  data = (pathlib.Path(path.partition('/data/')[0]) / told['file_path']).read_bytes()
  assert (told['format'], told['hash_algorithm']) == ('jsonl', 'sha256')
  assert told['checksum'] == hashlib.sha256(data).hexdigest()
  samples = [json.loads(line) for line in data.decode().splitlines()]  # as the program's validator breaks lines
  assert told['total_rows'] == len(samples)
  ids = {result['evaluation_result_id'] for result in aggregate['evaluation_results']}
  for row in samples:
    assert set(row) >= SAMPLE and set(row) <= SAMPLE | {'evaluation_result_id', 'metadata'}
    assert row['evaluation_id'] == aggregate['evaluation_id'] and row['model_id'] == aggregate['model_info']['id']
    assert row['evaluation_result_id'] in ids and row['interaction_type'] == 'single_turn'
    assert set(row['answer_attribution'][0]) == {
      'turn_idx', 'source', 'extracted_value', 'extraction_method', 'is_terminal',
    }  # fmt: skip
    assert all(isinstance(value, str) for value in row['metadata'].values())
  return aggregate, samples


def test_every_dataset_has_its_scores_and_cells(evaluations, tmp_path):
  before, _ = evaluations
  first, second = write([before], str(tmp_path), LAB, ['someone/model'])
  assert first.startswith(f'{tmp_path}/data/first/someone/model/')
  assert second.startswith(f'{tmp_path}/data/second/someone/model/')
  aggregate, samples = _read(first)
  results, comparison = _check(aggregate), compare([before])
  assert len(results) == 2 * 3 + 1 + 5 and len(samples) == 40 * 5
  value = comparison.interval('no adapter', 'unobserved', 'AvgP', 'first')
  mean = results['first.unobserved/accuracy']['score_details']
  assert (mean['score'], mean['uncertainty']['confidence_interval']['lower']) == (value.estimate, value.low)
  assert mean['details']['cells'] == mean['details']['cells_scored'] == '120'
  by_phrasing = comparison.phrasings.query('dataset == "first" and group == "unobserved"')['no adapter']
  assert results['first.unobserved/robust_t5x.worst_phrasing']['score_details']['score'] == pytest.approx(
    by_phrasing.min()
  )
  spread = results['first.unobserved/robust_t5x.spread']
  assert spread['score_details']['score'] == pytest.approx(by_phrasing.max() - by_phrasing.min())
  assert (
    spread['metric_config']['lower_is_better']
    and not results['first.unobserved/accuracy']['metric_config']['lower_is_better']
  )
  gap = results['first/robust_t5x.observed_gap']
  assert gap['score_details']['score'] < 0 and gap['metric_config']['min_score'] == -1
  one = results['first.unobserved.first/u1/accuracy']
  assert one['generation_config']['generation_args']['prompt_template'] == 'Do <b>first/u1</b> | now: {x}'.replace(
    'first/', ''
  )
  of_one = [r['evaluation']['score'] for r in samples if r['evaluation_name'] == 'first.unobserved.first/u1']
  exact = scipy.stats.binomtest(int(sum(of_one)), len(of_one)).proportion_ci(method='exact')
  interval = one['score_details']['uncertainty']['confidence_interval']
  assert one['score_details']['score'] == pytest.approx(sum(of_one) / 40)
  # Korn and Graubard's, at an effective sample size that the variance is estimated for, is a little wider.
  assert exact.low - 0.01 < interval['lower'] <= exact.low and exact.high <= interval['upper'] < exact.high + 0.01
  assert all(r['evaluation']['is_correct'] == (r['evaluation']['score'] == 1) for r in samples)


def test_the_same_results_have_the_same_names_and_seeds_do_not(evaluations, tmp_path):
  _, (one, two) = evaluations
  names = write([one, two], str(tmp_path / 'a'), LAB, ['someone/model'])
  again = write([two, one], str(tmp_path / 'b'), LAB, ['someone/model'])
  assert len(set(names)) == 4
  assert sorted(n.removeprefix(f'{tmp_path}/a') for n in names) == sorted(
    n.removeprefix(f'{tmp_path}/b') for n in again
  )
  shutil.copytree(one, tmp_path / 'copy')
  with pytest.raises(ExportError, match='have the same results of first; give them once'):
    write([one, str(tmp_path / 'copy')], str(tmp_path / 'c'), LAB, ['someone/model'])
  assert not (tmp_path / 'c').exists()


def test_a_model_and_its_settings(two_evaluations, tmp_path):
  _, after = two_evaluations
  change_record(
    after, fingerprint__backbone='b' * 64, fingerprint__adapter='a' * 64, fingerprint__dtype='bfloat16',
    fingerprint__task_feature_lengths={'inputs': 40, 'targets': 8}, label='someone/model',
  )  # fmt: skip
  aggregate, _ = _read(write([str(after)], str(tmp_path), LAB)[0])
  assert aggregate['model_info'] == {
    'name': 'someone/model', 'id': 'someone/model', 'developer': 'someone',
    'additional_details': {
      'deployment_type': 'self_deployed', 'model_availability': 'unknown', 'backbone_sha256': 'b' * 64, 'adapter_sha256': 'a' * 64,
      'dtype': 'bfloat16',
    },
  }  # fmt: skip
  result = aggregate['evaluation_results'][0]
  assert result['generation_config']['generation_args'] == {'temperature': 0.0, 'max_tokens': 8}
  assert result['source_data']['additional_details'] == {'split': 'test', 'examples': '40'}
  assert aggregate['eval_library']['name'] == 'robust_t5x'
  assert aggregate['source_metadata']['additional_details'] == {'content_hashes': '{"first": "x", "second": "y"}'}


def test_a_served_models_address_is_not_told(two_evaluations, tmp_path):
  change_record(two_evaluations[0], fingerprint__backbone='m at http://10.0.0.1/v1, settings 12345678')
  path = write([str(two_evaluations[0])], str(tmp_path), LAB, ['a/b'])[0]
  assert _read(path)[0]['model_info']['additional_details'] == {
    'deployment_type': 'unknown',
    'model_availability': 'unknown',
  }
  assert '10.0.0.1' not in pathlib.Path(path).read_text()


def test_samples_ranked_options_and_odd_texts(tmp_path):
  odd = scores_table('a/b', '../x y', {'observed': 0.5, 'unobserved': 0.5}, examples=30)
  odd['option_scores'] = json.dumps({'p': -1.0, 'q': -2.0})
  odd['prediction'] = 'one\u2028two\x85three'
  odd = odd[(odd.index % 3 == 0) & (odd['instruction_id'] != '../x y/u3')]
  run = Run.open(str(tmp_path / 'r'), 'a/b', {'tasks': {'t': 'x'}, 'cells': {'budget': 0.3, 'seed': 0}})
  run.add_shard('t', pd.concat([odd, scores_table('a/b', 'data', {'observed': 1, 'unobserved': 1}, examples=2)]))
  run.finish({}, {'examples': {'../x y': 90, 'data': 2}})
  first, second = write([str(tmp_path / 'r')], str(tmp_path / 'out'), LAB)
  assert second.startswith(f'{tmp_path}/out/data/data_/a/b/') and '..' not in first
  aggregate, samples = _read(first)
  result = _check(aggregate)['../x y.unobserved/accuracy']
  assert [result['score_details']['details'][name] for name in ('cells_scored', 'cells')] == ['20', '180']
  assert json.loads(result['score_details']['details']['sample']) == {'budget': 0.3, 'seed': 0}
  assert samples[0]['input']['choices'] == ['p', 'q'] and samples[0]['output']['raw'] == ['one\u2028two\x85three']


def test_accuracies_of_phrasings_are_documentation_without_samples(tmp_path):
  rows = [(m, 'd', g, f'{g}{i}', 0.2 * i) for m in ('x/y', 'x/z') for g in ('observed', 'unobserved') for i in range(4)]
  table = pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'score'])
  table.to_csv(tmp_path / 'published.csv', index=False)
  written = write([str(tmp_path / 'published.csv')], str(tmp_path / 'out'), LAB)
  assert len(written) == 2
  aggregate, samples = _read(written[0])
  results = _check(aggregate)
  assert not samples and aggregate['source_metadata']['source_type'] == 'documentation'
  assert 'evaluation_timestamp' not in aggregate and aggregate['eval_library']['name'] == 'unknown'
  assert results['d.observed/accuracy']['score_details']['score'] == pytest.approx(0.3)
  assert 'uncertainty' not in results['d.observed.observed1/accuracy']['score_details']


def test_a_run_of_the_harness_is_the_harnesss(tmp_path):
  run = pathlib.Path(__file__).parents[2] / 'data/lm_eval/run'
  written = write([str(run)], str(tmp_path), LAB, ['EleutherAI/tiny'])
  assert len(written) == 4
  aggregate, samples = _read(written[0])
  _check(aggregate)
  assert (aggregate['eval_library']['name'], aggregate['eval_library']['version']) == (
    'lm-evaluation-harness',
    '0.4.13',
  )
  assert samples[0]['input']['raw'] == 'Which colour has {{thing}}? It is'


@pytest.mark.parametrize(
  ('models', 'message'),
  [
    ((), "the label 'no adapter' is no name such as ORGANISATION/MODEL; give --models"),
    (('plain',), "'plain' of --models is no name"),
    (('a/b', 'c/d'), '--models: 2 names for 1 models; give one for each of no adapter'),
    (('data/b',), 'is no name'),
    (('a/../b',), 'is no name'),
  ],
)
def test_names_that_the_store_has_no_place_for(evaluations, tmp_path, models, message):
  with pytest.raises(ExportError, match=message):
    write([evaluations[0]], str(tmp_path / 'out'), LAB, models)
  assert not (tmp_path / 'out').exists()


def test_an_evaluation_that_is_not_finished_is_refused(tmp_path):
  place = write_evaluation(tmp_path / 'e', 'a/b', {'observed': 1, 'unobserved': 1})
  change_record(place, finished=None)
  with pytest.raises(ValueError, match='was interrupted'):
    write([place], str(tmp_path / 'out'), LAB)
