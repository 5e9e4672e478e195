"""What lm-evaluation-harness writes, as a results table; tests/data/lm_eval has a real run of it."""

import json
import pathlib
import shutil

import pytest

from robust_t5x.results import lm_eval
from robust_t5x.results.reading import read, read_models
from robust_t5x.results.schema import COLUMNS, ResultsError

RUN = pathlib.Path(__file__).parents[2] / 'data' / 'lm_eval' / 'run'
DATE = '2026-01-02T03-04-05.678'


def _line(number=0, doc=None, **more):
  answers = {'resps': [['4']], 'filtered_resps': ['4'], 'metrics': ['exact_match'], 'exact_match': 1.0}
  return {'doc_id': number, 'doc': {'q': number} if doc is None else doc, 'target': '4', **answers, **more}


def _write(directory, samples, date=DATE, **results):
  """A run with some tasks' samples and, if anything is said of it, a file of results."""
  directory.mkdir(exist_ok=True, parents=True)
  for task, lines in samples.items():
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    (directory / f'samples_{task}_{date}.jsonl').write_text(text)
  if results:
    (directory / f'results_{date}.json').write_text(json.dumps({'results': {}, **results}))
  return str(directory)


def _reported(metric):
  """Task -> a metric that the harness itself reports of the run."""
  results = json.loads(next(RUN.glob('results_*.json')).read_text())['results']
  return {task: values[metric] for task, values in results.items() if metric in values}


def test_a_real_run():
  table, record = read(str(RUN))
  assert list(table.columns) == list(COLUMNS)
  phrasings = table.groupby('dataset')['instruction_id'].unique().map(sorted).to_dict()
  assert phrasings == {
    'colour': ['colour_long', 'colour_short'],
    'score_facts': ['score_facts/0', 'score_facts/1'],
    'shade': ['shade'],
    'sum': ['sum_prompt-1', 'sum_prompt-2'],
  }
  # The same examples under each phrasing, so that all statistics are paired.
  assert table.groupby('dataset')['example_id'].nunique().to_dict() == {
    'colour': 3, 'score_facts': 2, 'shade': 3, 'sum': 2,
  }  # fmt: skip
  means = table.groupby('instruction_id')['score'].mean()
  reported = _reported('acc,none') | _reported('exact_match,strict')
  assert {task: means[task] for task in reported} == pytest.approx(reported)
  assert record['instructions']['colour_long'] == 'Which colour has {{thing}}? It is'
  assert record['instructions']['score_facts/1'] == 'Say whether {question} is true.'
  assert (record['label'], record['versions']) == ('tiny', {'lm_eval': '0.4.13'})
  taken = {told.split(':')[0]: told for told in record['taken']}
  assert 'colour_long, colour_short (group colour) have the same documents' in taken['colour']
  assert 'score: acc (there are also metric acc_norm)' in taken['colour']
  assert 'sum_prompt-1, sum_prompt-2 (no group)' in taken['sum'] and 'filter flexible' in taken['sum']
  assert 'the 2 prompts that its documents hold' in taken['score_facts']
  assert 'a task by itself' in taken['shade']


def test_options_and_their_likelihoods():
  table, _ = read(str(RUN))
  cell = table[table['instruction_id'] == 'colour_short'].iloc[2]
  scores = json.loads(cell['option_scores'])
  assert list(scores) == ['green', 'red', 'deep blue']
  assert scores['red'] == pytest.approx(-81.4787)
  assert (cell['prediction'], cell['gold'], cell['score']) == ('red', 'deep blue', 0.0)


def test_another_metric_and_filter():
  table, record = read(f'{RUN}#acc_norm')
  means = table.groupby('instruction_id')['score'].mean().to_dict()
  assert means == pytest.approx(_reported('acc_norm,none'))
  assert set(table['scorer']) == {'lm-eval acc_norm'}
  # The prediction is that of the metric: the answer is right where the score is 1.
  assert ((table['prediction'] == table['gold']) == (table['score'] == 1)).all()
  assert {pathlib.Path(left['file']).name.split('_2026')[0] for left in record['left_out']} == {
    'samples_score_facts', 'samples_sum_prompt-1', 'samples_sum_prompt-2',
  }  # fmt: skip
  table, _ = read(f'{RUN}#exact_match,flexible')
  assert set(table['scorer']) == {'lm-eval exact_match, filter flexible'} and set(table['dataset']) == {'sum'}
  with pytest.raises(ResultsError, match="no task can be used: .*no metric 'bleu' from 0 to 1.*its metrics are"):
    read(f'{RUN}#bleu')


def test_tasks_with_other_documents_answers_shots_or_groups_are_datasets_of_their_own(tmp_path):
  same = [_line(0), _line(1)]
  tasks = {
    'base_a': same, 'base_b': same, 'other_docs': [_line(0), _line(2)], 'other_gold': [_line(0, target='5'), _line(1)],
    'shots': same, 'grouped': same,
  }  # fmt: skip
  _write(
    tmp_path, tasks, group_subtasks={'g': ['grouped', 'other_docs']},
    **{'n-shot': dict.fromkeys(tasks, 0) | {'shots': 5}},
  )  # fmt: skip
  table, _ = read(str(tmp_path))
  assert table.groupby('dataset')['instruction_id'].unique().map(sorted).to_dict() == {
    'base': ['base_a', 'base_b'], 'grouped': ['grouped'], 'other_docs': ['other_docs'],
    'other_gold': ['other_gold'], 'shots, shots: 5': ['shots'],
  }  # fmt: skip


def test_samples_of_older_versions(tmp_path):
  """Without filter, metrics and hashes, and with lists of arguments; option by option or context by context."""
  choice = {'resps': [[[-2.0, False]], [[-1.0, True]]], 'filtered_resps': [[-2.0, False], [-1.0, True]]}
  line = {'doc_id': 0, 'doc': {'q': 1}, 'acc': 1, 'target': '1', **choice}
  _write(
    tmp_path / 'run',
    {'options': [line | {'arguments': [['Q', ' no'], ['Q', ' yes']]}],
     'contexts': [line | {'arguments': [['It was big.', ' End'], ['It was small.', ' End']]}],
     'information': [line | {'arguments': [['Q', ' a'], ['Q', ' b'], ['', ' a'], ['', ' b']],
                             'filtered_resps': [[-2.0, False], [-1.0, True], [-5.0, False], [-9.0, False]]}]},
  )  # fmt: skip
  table, record = read(str(tmp_path))
  assert dict(zip(table['instruction_id'], table['prediction'], strict=True)) == {
    'options': 'yes', 'contexts': 'It was small.', 'information': 'b',
  }  # fmt: skip
  assert set(table['model']) == {'run'} and set(table['score']) == {1.0}
  assert record['versions'] == {'lm_eval': ''}


def test_score_tasks_of_mathematics_and_option_order(tmp_path):
  math = [
    _line(p, {'question_id': 7, 'prompt_id': p}, metrics=[f'{p}_accuracy', 'consistency_rate'])
    | {f'{p}_accuracy': [p, p], 'consistency_rate': [7, f'answer {p}']}
    for p in (0, 1)
  ]
  order = [
    _line(i, {'question_id': 7, 'always_same_option': o}, metrics=[f'per_option_accuracy_{o}'])
    | {f'per_option_accuracy_{o}': [7, o, 'A', o]}
    for i, o in enumerate('AB')
  ]
  _write(tmp_path, {'math': math, 'order': order})
  table, _ = read(str(tmp_path))
  assert table[['instruction_id', 'example_id', 'prediction', 'score']].values.tolist() == [
    ['math/0', '7', 'answer 0', 0.0],
    ['math/1', '7', 'answer 1', 1.0],
    ['order/A', '7', 'A', 1.0],
    ['order/B', '7', 'A', 0.0],
  ]


def test_score_tasks_of_mmlu_pro(tmp_path):
  """Their metrics have the category behind the right answer; of sampled answers the right one stands elsewhere."""
  prompts = [
    _line(p, {'question_id': 7, 'prompt_id': p}, metrics=[f'{p}_macro_accuracy'])
    | {f'{p}_macro_accuracy': [7, p, answer, 'B', 'law']}
    for p, answer in enumerate('AB')
  ]
  order = [
    _line(i, {'question_id': 7, 'always_same_option': o}, metrics=[f'per_option_macro_accuracy_{o}'])
    | {f'per_option_macro_accuracy_{o}': [7, o, 'A', o, 'law']}
    for i, o in enumerate('AB')
  ]
  sampled = [
    _line(i, metrics=['non_greedy_macro_accuracy']) | {'non_greedy_macro_accuracy': [7, 'B', 'B', 'law']}
    for i in (0, 1)
  ]
  _write(tmp_path, {'prompts': prompts, 'order': order, 'sampled': sampled})
  table, record = read(str(tmp_path))
  assert table[['instruction_id', 'prediction', 'gold', 'score']].values.tolist() == [
    ['order/A', 'A', 'A', 1.0], ['order/B', 'A', 'B', 0.0], ['prompts/0', 'A', 'B', 0.0], ['prompts/1', 'B', 'B', 1.0],
  ]  # fmt: skip
  (left,) = record['left_out']
  assert 'samples_sampled' in left['file'] and 'its metrics are non_greedy_macro_accuracy' in left['reason']
  prompts[0]['0_macro_accuracy'][3] = None
  _write(tmp_path / 'no_right_answer', {'prompts': prompts, 'order': order})
  table, record = read(str(tmp_path / 'no_right_answer'))
  assert set(table['dataset']) == {'order'} and 'samples_prompts' in record['left_out'][0]['file']


@pytest.mark.parametrize('metric', ['mcc', 'f1', 'inst_level_strict_acc'])
def test_what_a_metric_of_all_documents_is_made_of_is_no_score(tmp_path, metric):
  lines = [_line(i, metrics=[metric, 'acc']) | {metric: pair, 'acc': 0.0} for i, pair in enumerate([[0, 1], [1, 0]])]
  _write(tmp_path / 'both', {'t': lines})
  table, record = read(str(tmp_path / 'both'))
  assert set(table['scorer']) == {'lm-eval acc'} and set(table['score']) == {0.0}
  _write(tmp_path / 'alone', {'t': [line | {'metrics': [metric]} for line in lines]})
  with pytest.raises(ResultsError, match=f'no metric from 0 to 1 for each document; its metrics are {metric}'):
    read(str(tmp_path / 'alone'))


def test_the_prediction_that_mutual_information_goes_by(tmp_path):
  """The likelihood without context comes off: a less -2 + 6 = 4, b -1 + 1.5 = 0.5."""
  line = _line(metrics=['acc', 'acc_mutual_info'], acc=0.0, acc_mutual_info=1.0, target='0') | {
    'arguments': [['Q', ' a'], ['Q', ' b'], ['', ' a'], ['', ' b']],
    'filtered_resps': [[-2.0, False], [-1.0, True], [-6.0, False], [-1.5, False]],
  }
  _write(tmp_path, {'t': [line]})
  for choice, prediction, score in (('', 'b', 0.0), ('#acc_mutual_info', 'a', 1.0)):
    table, _ = read(f'{tmp_path}{choice}')
    assert table[['prediction', 'gold', 'score']].values.tolist() == [[prediction, 'a', score]]


@pytest.mark.parametrize(
  ('target', 'field', 'gold'),
  [
    ('1', None, '2'),
    ('1', '{{number}}', '2'),  # a template's text is a number
    ('1', 'number', '1'),  # the field's own text is an option
    ('[0, 2]', 'right', '1 | 3'),
    ('[0, 3]', 'right', '[0, 3]'),
    ('7', None, '7'),
  ],
)
def test_the_right_option_in_words(tmp_path, target, field, gold):
  line = _line(doc={'number': '1', 'right': [0, 2]}, metrics=['acc'], acc=1.0, target=target) | {
    'arguments': [['Q', f' {o}'] for o in '123'],
    'filtered_resps': [[-1.0, True], [-2.0, False], [-3.0, False]],
  }
  _write(tmp_path, {'t': [line]}, configs={'t': {'doc_to_text': 'Q', 'doc_to_target': field}})
  table, _ = read(str(tmp_path))
  assert table['gold'].tolist() == [gold]
  assert table['also_right'].tolist() == ['["1", "3"]' if '|' in gold else '']


def test_newest_run_of_each_task_and_one_model(tmp_path):
  _write(tmp_path, {'t': [_line(exact_match=0.0)]}, '2026-01-01T00-00-00', model_name='m')
  _write(tmp_path, {'t': [_line()], 'u': [_line(5)]}, '2026-01-02T00-00-00', model_name='m')
  _write(tmp_path, {'t': [_line()]}, '2025-01-01T00-00-00', model_name='m', chat_template='{{x}}')
  table, record = read(str(tmp_path))
  assert table[['instruction_id', 'score']].values.tolist() == [['t', 1.0], ['u', 1.0]]
  assert [left['reason'] for left in record['left_out']] == [
    'there is a newer run of t', 'it is of m, chat template, newer ones of m',
  ]  # fmt: skip


def test_a_folder_of_models(tmp_path):
  for name in ('one', 'two'):
    _write(tmp_path / name, {'t': [_line()]}, model_name=name, system_instruction='Be brief.')
  found = read_models([str(tmp_path)])
  assert [r.model.split(',')[0] for r in found] == ['one', 'two']
  assert all('system instruction' in r.model for r in found)
  with pytest.raises(ResultsError, match='holds runs of 2 models; give one of the directories'):
    read(str(tmp_path))


def test_perplexities_are_left_out(tmp_path):
  _write(
    tmp_path,
    {'t': [_line()], 'wiki': [_line(metrics=['word_perplexity']) | {'word_perplexity': [-30.0, 9]}],
     'bleu': [_line(metrics=['bleu'], bleu=12.5)]},
  )  # fmt: skip
  table, record = read(str(tmp_path))
  assert set(table['dataset']) == {'t'}
  assert {left['reason'] for left in record['left_out']} == {
    'it has no metric from 0 to 1 for each document; its metrics are bleu',
    'it has no metric from 0 to 1 for each document; its metrics are word_perplexity',
  }


@pytest.mark.parametrize(
  ('lines', 'said'),
  [
    ([], 'holds no sample'),
    ([{'doc_id': 0}], r'line 1: not a sample of lm-evaluation-harness \(it has no (resps|filtered_resps)\)'),
    ([_line(), _line()], 'line 2: a second sample of document 0'),
    ([_line(filtered_resps=[])], 'line 1: not a sample'),
    ([_line(arguments=[['Q', ' a'], ['Q', ' b']], filtered_resps=[['x', False], [-1, False]])], 'line 1: not a sample'),
  ],
)
def test_damaged_samples(tmp_path, lines, said):
  _write(tmp_path, {'t': lines})
  with pytest.raises(ResultsError, match=f'samples_t_{DATE}.jsonl.*{said}.*run the task again'):
    read(str(tmp_path))


def test_damaged_results(tmp_path):
  _write(tmp_path, {'t': [_line()]}, configs=[1])
  with pytest.raises(ResultsError, match=r'results_.*: configs is \[1\], not dict; run the tasks again'):
    read(str(tmp_path))


def test_report_and_compare(tmp_path, capsys):
  from robust_t5x import compare, report

  other = tmp_path / 'other'
  shutil.copytree(RUN, other)
  results = next(other.glob('results_*.json'))
  results.write_text(results.read_text().replace('"model_name": "tiny"', '"model_name": "other"'))
  for file in other.glob('samples_colour_*'):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(''.join(json.dumps(line | {'acc': 1.0}) + '\n' for line in lines))
  assert report.main([str(RUN), str(other), '--out', str(tmp_path / 'report')]) == 0
  assert 'have the same documents and right answers' in (tmp_path / 'report' / 'report.md').read_text()
  assert compare.main([str(RUN), str(other)]) == 0
  said = capsys.readouterr().out
  assert 'colour' in said and 'are phrasings of one dataset' in said


def test_a_path_with_the_sign_is_a_path(tmp_path):
  place = tmp_path / 'run#1'
  _write(place, {'t': [_line()]})
  assert lm_eval.split(str(place)) == (str(place), lm_eval.Choice('', ''))
  assert len(read(str(place))[0]) == 1


def test_what_is_better_the_lower_it_is_is_no_score(tmp_path):
  lines = [_line(i, metrics=['brier_score', 'acc'], brier_score=0.125, acc=1.0) for i in range(2)]
  told = {'higher_is_better': {'t': {'brier_score': False, 'acc': True}, 'u': {'brier_score': False}}}
  folder = _write(tmp_path / 'm', {'t': lines}, **told)
  table, record = read(folder)
  assert table['score'].tolist() == [1.0, 1.0] and 'also' not in record['taken'][0]
  with pytest.raises(ResultsError, match="no metric 'brier_score' from 0 to 1"):
    read(folder + '#brier_score')


def test_a_loss_is_no_score_where_no_results_say_so(tmp_path):
  lines = [_line(i, metrics=['brier_score', 'acc'], brier_score=0.125, acc=1.0) for i in range(2)]
  assert read(_write(tmp_path / 'm', {'t': lines}))[0]['score'].tolist() == [1.0, 1.0]


def test_samples_that_were_lost_are_told(tmp_path):
  folder = _write(tmp_path / 'm', {'t': [_line(0), _line(1)]}, **{'n-samples': {'t': {'original': 9, 'effective': 3}}})
  with pytest.raises(ResultsError, match='samples_t_.*jsonl: holds 2 of the 3 documents .* copy the file again'):
    read(folder)


def test_names_that_begin_alike_join_no_tasks_of_other_documents(tmp_path):
  first, second = ([_line(number) for number in numbers] for numbers in ((0, 1), (2, 3)))
  _write(tmp_path / 'm', {'q_p1': first, 'q_p2': first, 'q_p3': second, 'q_p4': second})
  table = read(str(tmp_path / 'm'))[0]
  assert table.groupby('dataset')['instruction_id'].unique().map(sorted).to_dict() == {
    'q': ['q_p1', 'q_p2'],
    'q_p3 + q_p4': ['q_p3', 'q_p4'],
  }


def test_documents_that_are_known_by_their_numbers_alone_join_no_tasks(tmp_path):
  lines = [{k: v for k, v in _line(i).items() if k != 'doc'} for i in range(2)]
  table = read(_write(tmp_path / 'm', {'one': lines, 'two': lines}))[0]
  assert set(table['dataset']) == {'one', 'two'}


def test_options_without_a_context(tmp_path):
  choice = {'filtered_resps': [[-2.0, False], [-1.0, True]], 'arguments': [['', ' no'], ['', ' yes']], 'target': '1'}
  table = read(_write(tmp_path / 'm', {'t': [_line(0, metrics=['acc'], acc=1.0, **choice)]}))[0]
  assert (table['prediction'][0], table['gold'][0]) == ('yes', 'yes')
