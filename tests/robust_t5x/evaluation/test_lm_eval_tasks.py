"""Tasks for lm-evaluation-harness, and the same predictions from the harness as from our own evaluation."""

import json
import pathlib

import numpy as np
import pytest
import yaml

from robust_t5x import __main__ as command_line
from robust_t5x.evaluation import lm_eval_tasks
from robust_t5x.results.reading import read

DATA = pathlib.Path(__file__).parents[2] / 'data' / 'lm_eval' / 'exported'
TASK = 'mini_odd_one_out_eval_unobserved'

pytestmark = pytest.mark.usefixtures('as_started_anew')


def export(out, *flags):
  return command_line.main(
    ['tasks', 'export', TASK, '--to', 'lm-eval', '--out', str(out), '--NUM_EXAMPLES=3', *map(str, flags)]
  )


def documents(path):
  return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


@pytest.mark.parametrize(('scorer', 'kind'), [('rank_likelihood', 'rank'), ('exact_match', 'greedy')])
def test_the_harness_predicts_what_we_do(tmp_path, scorer, kind):
  """On the same weights: the samples are of the harness's own model classes, through transformers."""
  theirs, record = read(str(DATA / kind))
  out = tmp_path / 'own'
  flags = [
    f'--SCORER={scorer}',
    f"--MIXTURES=['{TASK}']",
    '--NUM_EXAMPLES=4',
    '--TASK_FEATURE_LENGTHS',
    "{'inputs': 64, 'targets': 8}",
  ]
  assert command_line.main(['eval', 'mini', f'--OUTPUT_DIR={out}', *flags]) == 0
  ours, _ = read(str(out))
  keys = ['dataset', 'group', 'instruction_id', 'example_id', 'scorer']
  both = theirs.merge(ours, on=keys, suffixes=('', ' of ours'))
  assert len(both) == len(theirs) == 8
  for column in ('prediction', 'gold', 'score', 'matched_option', 'strict_score', 'extracted_score'):
    np.testing.assert_array_equal(both[column], both[f'{column} of ours'], err_msg=column)
  assert len(set(both['prediction'])) > 1 and both['score'].between(0.1, 0.9, inclusive='neither').sum() == 0
  if kind == 'rank':
    for one, other in zip(both['option_scores'], both['option_scores of ours'], strict=True):
      assert json.loads(one) == pytest.approx(json.loads(other), abs=1e-3)
  told = f'mini_odd_one_out: 2 tasks that were exported from it, a phrasing each; score: {scorer}'
  assert [line.partition(' (')[0].rstrip('.') for line in record['taken']] == [told]
  assert set(record['instructions'].values()) <= {i['template'] for i in _templates(DATA / kind)}


def _templates(directory):
  configs = json.loads(next(directory.glob('results_*.json')).read_text())['configs']
  return [config['metadata']['robust_t5x'] for config in configs.values()]


def test_files_of_a_ranked_task(tmp_path, capsys):
  assert export(tmp_path / 'out') == 0
  assert f'--tasks {TASK} --log_samples' in capsys.readouterr().out
  group = yaml.safe_load((tmp_path / 'out' / f'{TASK}.yaml').read_text())
  assert group['group'] == TASK and len(group['task']) == 10
  for name in group['task']:
    config = yaml.safe_load((tmp_path / 'out' / f'{name}.yaml').read_text())
    data = documents(config['dataset_kwargs']['data_files']['test'])
    assert config['task'] == name and config['num_fewshot'] == 0 and config['target_delimiter'] == ''
    about = config['metadata']['robust_t5x']
    assert (about['dataset'], about['group'], about['scorer']) == ('mini_odd_one_out', 'unobserved', 'rank_likelihood')
    assert [d['example_id'] for d in data] == [f'odd_one_out/test/{i}' for i in range(3)]
    for d in data:
      # The text is the template, filled in.
      before, _, behind = about['template'].partition('{words}')
      assert d['text'].startswith(before) and d['text'].endswith(behind.partition('{')[0])
      assert d['choices'] == [f'{option}</s>' for option in d['options']]
      assert [d['options'][i] for i in d['right']] == d['answers']


def test_a_decoder_has_a_space_before_options_and_no_end(tmp_path):
  assert export(tmp_path, '--network', 'decoder') == 0
  file = sorted(tmp_path.glob(f'{TASK}__*.yaml'))[0]
  config = yaml.safe_load(file.read_text())
  assert config['target_delimiter'] == ' '
  data = documents(config['dataset_kwargs']['data_files']['test'])
  assert all(d['choices'] == d['options'] for d in data)


def test_generated_answers(tmp_path):
  assert export(tmp_path, '--scorer', 'extracted', '--max_output', 5) == 0
  config = yaml.safe_load(sorted(tmp_path.glob(f'{TASK}__*.yaml'))[0].read_text())
  assert config['output_type'] == 'generate_until' and 'doc_to_choice' not in config
  assert config['generation_kwargs'] == {'until': [], 'max_gen_toks': 5, 'do_sample': False}
  assert config['metadata']['robust_t5x']['scorer'] == 'extracted'


def test_mixtures_are_groups_of_groups(tmp_path):
  flags = ['tasks', 'export', 'mini_eval_unobserved', '--to', 'lm-eval', '--scorer', 'exact_match']
  assert command_line.main([*flags, '--out', str(tmp_path), '--NUM_EXAMPLES=1']) == 0
  mixture = yaml.safe_load((tmp_path / 'mini_eval_unobserved.yaml').read_text())
  assert TASK in mixture['task'] and len(mixture['task']) == 13
  assert all((tmp_path / f'{task}.yaml').is_file() for task in mixture['task'])


def test_no_two_files_have_one_name():
  """Also not that of another task's phrasing, or of a group, or but for its case."""
  assert lm_eval_tasks._unused('t__u__x', ['t__u__x', 'T__u__X_2']) == 't__u__x_3'
  long = lm_eval_tasks._unused('t__' + 'x' * 300, ['t__' + 'x' * 197])
  assert long == 't__' + 'x' * 197 + '_2'


@pytest.mark.parametrize(
  ('flags', 'said'),
  [
    (['mini_first_word_eval_unobserved'], 'ranks options, but of mini_first_word_eval_unobserved .* lacks options; use exact'),
    ([TASK, '--scorer', 'bleu'], "--scorer: 'bleu' is none of exact_match"),
    (['nothing'], "no mixture or evaluation task 'nothing'"),
    ([TASK, '--split', 'dev'], "no split 'dev'"),
  ],
)  # fmt: skip
def test_what_cannot_be_exported(tmp_path, capsys, flags, said):
  import re

  assert command_line.main(['tasks', 'export', *flags, '--to', 'lm-eval', '--out', str(tmp_path)]) == 2
  assert re.search(said, capsys.readouterr().err)
