"""The verb `tasks`, as its users call it, and an evaluation of tasks of one's own."""

import json

import pytest

import gin
from robust_t5x import __main__ as command_line
from robust_t5x import tasks

BANK = """
family: mine
collection: mine
role: evaluation
instructions:
  quiz:
    listed: {source: "Own/1", template: "{question} {options}", options: numbers}
    open: "{question}?"
    alike: "{question}?  "
"""
ITEM = {'question': 'which', 'options': ['cat', 'dog'], 'answer': 'dog'}

pytestmark = pytest.mark.usefixtures('as_started_anew')


def run(*arguments) -> int:
  return command_line.main([str(a) for a in arguments])


@pytest.fixture
def bank(tmp_path):
  path = tmp_path / 'bank'
  path.mkdir()
  (path / 'mine.yaml').write_text(BANK.replace('    alike: "{question}?  "\n', ''))
  return path


@pytest.fixture
def gin_flags(tmp_path, bank):
  """Flags that register a quiz of one's own under a bank of one's own."""
  data = tmp_path / 'quiz.jsonl'
  rows = [{'question': f'question {i}', 'o': ['cat', 'dog'], 'answer': 'dog'} for i in range(30)]
  data.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return [
    '--gin_file=gin/tasks/table.gin', '--gin_file=gin/observed/none.gin', f"--gin.DATA_FILE='{data}'",
    f"--gin.DATASET='{tmp_path.name}'", "--gin.BANK_TASKS=['quiz']", f"--gin.BANKS=['{bank}']",
    "--gin.OPTIONS_COLUMN='o'",
  ]  # fmt: skip


def test_stats_tell_of_doubled_questions_and_of_shots_that_are_asked(gin_flags, tmp_path, capsys):
  with (tmp_path / 'quiz.jsonl').open('a') as f:
    f.write(json.dumps({'question': 'question 1', 'o': ['dog', 'cat'], 'answer': 'dog'}) + '\n')
  assert run('tasks', 'stats', f'{tmp_path.name}_2shot__mine_listed', *gin_flags, '--gin.NUM_SHOTS=2') == 0
  out = capsys.readouterr().out
  name = f'{tmp_path.name}, split test'
  assert '_2shot__mine_listed: 29 rows' in out
  assert (
    f"warning: 1 of 31 examples ask the same as an earlier one; the first: {name}: example '31' asks the same as" in out
  )
  assert (
    f'warning: {name}, to show: 1 left out, 2 used (an example to show that is asked itself); the first: {name}: '
    in out
  )


def test_list(gin_flags, tmp_path, capsys):
  assert run('tasks', 'list', *gin_flags, '--match', '*_eval_*') == 0
  name = tmp_path.name
  flat = [f'{name}_eval_unobserved', f'{name}_eval_mine']
  assert capsys.readouterr().out.split() == [*flat, *(f'{task}__rank' for task in flat)]


def test_show(gin_flags, tmp_path, capsys):
  assert run('tasks', 'show', f'{tmp_path.name}__mine_listed', '--n', 2, *gin_flags) == 0
  out = capsys.readouterr().out
  assert out.count('---') == 2
  assert 'question 0 1. cat\n  2. dog' in out and 'target (' in out and "'2'" in out
  assert "options (tokens): '1' (" in out


def test_the_mini_suite_needs_no_file(capsys):
  assert run('tasks', 'show', 'mini_first_word__h01', '--n', 1) == 0
  assert 'which word do you meet first?' in capsys.readouterr().out
  gin.clear_config()
  assert run('tasks', 'show', 'mini_alignment', '--n', 2) == 0
  out = capsys.readouterr().out
  assert len({line for line in out.splitlines() if line.startswith('--- mini_')}) == 2  # tasks take turns
  assert out.count('input (') == 8  # four phrasings of two examples


def test_show_of_something_unknown(gin_flags, tmp_path, capsys):
  assert run('tasks', 'show', f'{tmp_path.name}_evl_mine', *gin_flags) == 2
  assert f'did you mean {tmp_path.name}_eval_mine?' in capsys.readouterr().err
  gin.clear_config()
  assert run('tasks', 'show', f'{tmp_path.name}_eval_mine', '--split', 'tset', *gin_flags) == 2
  assert "has no split 'tset', only test" in capsys.readouterr().err


def test_stats_warns(gin_flags, tmp_path, bank, capsys, monkeypatch):
  (bank / 'mine.yaml').write_text(BANK.replace('role: evaluation', 'role: evaluation\nverbatim: true'))
  assert run('tasks', 'stats', f'{tmp_path.name}_eval_unobserved', *gin_flags) == 0
  out = capsys.readouterr().out
  assert '90 rows' in out and 'most frequent targets: ' in out
  assert 'mine/quiz/open and mine/quiz/alike are the same to the vocabulary' in out
  assert "'dog' is right in 100.0% of examples, where even labels would be in 50.0%" in out


def test_stats_warns_of_answers_that_an_output_cannot_hold_and_of_options_that_tie(tmp_path, bank, capsys):
  data = tmp_path / 'long.csv'
  long = ' '.join(['one answer'] * 12)
  data.write_text(f'question,answer,choices\nq,{long},{long}|no\nr,no,no|no\n')
  assert run(
    'tasks', 'stats', 'd_eval_unobserved', '--gin_file=gin/tasks/table.gin', '--gin_file=gin/observed/none.gin',
    f"--gin.DATA_FILE='{data}'", "--gin.DATASET='d'", "--gin.BANK_TASKS=['quiz']", f"--gin.BANKS=['{bank}']",
    "--gin.OPTIONS_COLUMN='choices'",
  ) == 0  # fmt: skip
  out = capsys.readouterr().out
  assert '1 of 4 right answers have more than 16 tokens' in out
  assert '1 of 4 rows have options that are the same to the vocabulary' in out


def test_stats_knows_what_runs_give_room_for():
  import ast
  import pathlib

  for name in ('measure', 'train'):
    text = pathlib.Path(f'gin/runs/shared/{name}.gin').read_text()
    (line,) = (line for line in text.splitlines() if line.startswith('TASK_FEATURE_LENGTHS = '))
    assert ast.literal_eval(line.partition(' = ')[2]) == tasks._LENGTHS


def test_stats_counts_what_is_cut_and_does_not_compare_it(gin_flags, tmp_path, capsys, monkeypatch):
  monkeypatch.setitem(tasks._LENGTHS, 'inputs', 3)
  assert run('tasks', 'stats', f'{tmp_path.name}_eval_unobserved', *gin_flags) == 0
  out = capsys.readouterr().out
  assert '60 of 60 inputs are longer than 3 tokens and are cut' in out
  assert 'the same to the vocabulary' not in out


def test_what_must_be_set_is_named(capsys):
  assert run('tasks', 'list', '--gin_file=gin/tasks/mmlu.gin') == 2
  line = capsys.readouterr().err.strip()
  assert line.startswith('error: not set: ') and '\n' not in line
  assert 'a file of gin/observed/ (' in line or 'MMLU_DIR' in line


def test_validate(bank, tmp_path, tiny_vocabulary_path, capsys):
  assert run('tasks', 'validate', bank) == 0
  assert '2 phrasings of 1 tasks in 1 files, no fault' in capsys.readouterr().out
  (bank / 'worse.yaml').write_text(BANK.replace('mine', 'worse').replace('numbers', 'numerals'))
  assert run('tasks', 'validate', bank, '--vocabulary', tiny_vocabulary_path) == 2
  err = capsys.readouterr().err
  assert 'worse/quiz/listed: unknown option style' in err
  assert 'worse/quiz/open: the same phrasing as mine/quiz/open' in err
  assert 'faults:' in err


def test_validate_tells_how_near_phrasings_come_to_trained_ones(tmp_path, capsys):
  text = 'family: f\ncollection: {0}\nrole: {0}\ninstructions:\n  quiz: {{a: "{1}"}}\n'
  for role, template in (('evaluation', 'Now answer {question}'), ('alignment', '{text}: reply now')):
    (tmp_path / f'{role}.yaml').write_text(text.format(role, template))
  assert run('tasks', 'validate', tmp_path / 'evaluation.yaml') == 0
  assert 'likeness' not in capsys.readouterr().out  # nothing is trained on
  assert run('tasks', 'validate', tmp_path) == 0
  assert 'evaluation to alignment: median 0.50, 90% 0.50, most 0.50; of 1 phrasings 1 at 0.5' in capsys.readouterr().out


def test_render(bank, tmp_path, capsys):
  requests, out = tmp_path / 'requests.jsonl', tmp_path / 'out.jsonl'
  good = {'dataset': 'quiz', 'instruction_id': 'Own/1', 'shots': 0, 'item': ITEM, 'item_index': 4}
  rows = [
    good,
    good | {'instruction_id': 'mine/quiz/open'},
    good | {'item': ITEM | {'answer': 'cow'}},
    good | {'instruction_id': 'Own/2'},
    good | {'dataset': 'Quiz'},
    good | {'shots': 1},
    good | {'item': None},
  ]
  requests.write_text('\n'.join(json.dumps(r) for r in rows) + '\n\n[1]\nno json\n')
  assert run('tasks', 'render', '--bank', bank, '--requests', requests, '--out', out) == 0
  assert 'rendered 2 requests' in capsys.readouterr().out
  answers = [json.loads(line) for line in out.read_text().splitlines()]
  assert answers[0] == good | {
    'input_text': 'which 1. cat\n2. dog', 'output_text': '2', 'label_space': ['1', '2']
  }  # fmt: skip
  assert (answers[1]['input_text'], answers[1]['output_text']) == ('which?', 'dog')
  for answer, error in zip(
    answers[2:],
    (
      "line 3: the answer 'cow' is not among the options",
      "line 4: the bank has no instruction 'Own/2' for quiz",
      "line 5: the bank has no dataset 'Quiz'; it has quiz",
      "line 6: 'shots' is 1 and there are 0 examples",
      "line 7: 'item' is None; it must be of the type dict",
      'line 9: it is no JSON object',
      'line 10: Expecting value',
    ),
    strict=True,
  ):
    assert answer['error'].startswith(error) and 'input_text' not in answer


def test_render_with_examples_and_bad_files(bank, tmp_path, capsys):
  requests, out = tmp_path / 'requests.jsonl', tmp_path / 'out.jsonl'
  requests.write_text(
    json.dumps({'dataset': 'quiz', 'instruction_id': 'Own/1', 'shots': 1, 'item': ITEM, 'examples': [ITEM]})
  )
  assert run('tasks', 'render', '--bank', bank, '--requests', requests, '--out', out) == 0
  assert 'no few-shot form' in json.loads(out.read_text())['error']
  assert run('tasks', 'render', '--bank', bank, '--requests', tmp_path / 'none', '--out', out) == 2
  assert 'cannot be read' in capsys.readouterr().err
  assert run('tasks', 'render', '--bank', tmp_path / 'none.yaml', '--requests', requests, '--out', out) == 2
  assert 'name an existing file' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'examples': 3, 'shots': 1}, "'examples' must be a list of objects"),
    ({'examples': [3], 'shots': 1}, "'examples' must be a list of objects"),
    ({'shots': True}, "'shots' is True"),
    ({'item': 'x'}, "'item' is 'x'; it must be of the type dict"),
    ({'item': {'options': ['cat']}}, "an item has no 'answer', only 'options'"),
    ({'item': ITEM | {'options': 'cat'}}, "'options' of an item is 'cat'; give a list of texts"),
    ({'item': ITEM | {'options': ['cat', 2]}}, "'options' of an item is ['cat', 2]; give a list of texts"),
    ({'item': ITEM | {'answer_index': 9}}, "'answer_index' of an item is 9; give the place"),
  ],
)
def test_a_request_of_other_types_is_told_by_its_line(bank, tmp_path, changes, message):
  requests, out = tmp_path / 'requests.jsonl', tmp_path / 'out.jsonl'
  requests.write_text(json.dumps({'dataset': 'quiz', 'instruction_id': 'Own/1', 'item': ITEM} | changes))
  assert run('tasks', 'render', '--bank', bank, '--requests', requests, '--out', out) == 0
  assert json.loads(out.read_text())['error'].startswith(f'line 1: {message}')


def test_a_cached_task_reads_as_an_uncached_one(gin_flags, tmp_path, capsys):
  pytest.importorskip('apache_beam', reason='seqio writes its cache with Beam, which is not installed')
  import seqio

  name = f'{tmp_path.name}_eval_unobserved'
  assert run('tasks', 'cache', name, '--out', tmp_path / 'cache', *gin_flags) == 0
  task = seqio.get_mixture_or_task(name)
  rows = []
  for cached in (True, False):
    data = task.get_dataset({'inputs': 32, 'targets': 8}, split='test', shuffle=False, use_cached=cached)
    rows.append(sorted((r['example_id'], r['instruction_id'], r['inputs'].tobytes()) for r in data.as_numpy_iterator()))
  assert rows[0] == rows[1] and len(rows[0]) == 60


def test_caching_without_beam_says_what_to_install(gin_flags, tmp_path, capsys, monkeypatch):
  import sys

  monkeypatch.setitem(sys.modules, 'apache_beam', None)
  assert run('tasks', 'cache', f'{tmp_path.name}_eval_unobserved', '--out', tmp_path / 'cache', *gin_flags) == 2
  assert 'pip install apache-beam' in capsys.readouterr().err


def test_evaluation_of_a_benchmark_from_gin(gin_flags, tmp_path, tiny_checkpoint):
  from robust_t5x.results import schema

  out = tmp_path / 'results'
  assert run(
    'eval', '--gin_file=gin/runs/eval.gin', '--gin_file=gin/topologies/cpu.gin', '--gin_file=gin/models/from_checkpoint.gin',
    *gin_flags, f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'",
    f"--gin.OUTPUT_DIR='{out}'", f"--gin.MIXTURES=['{tmp_path.name}_eval_unobserved']", '--gin.NUM_EXAMPLES=3',
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 8}", '--gin.EVAL_BATCH_SIZE=8',
  ) == 0  # fmt: skip
  table = schema.read_table(str(out))
  assert len(table) == 6 and set(table['scorer']) == {'rank_likelihood'}
  listed = table[table['instruction_id'] == 'mine/quiz/listed']
  assert set(listed['gold']) == {'2'} and set(listed['prediction']) <= {'1', '2'}


def test_free_answers_cannot_be_ranked(tmp_path, bank, tiny_checkpoint, capsys):
  data = tmp_path / 'open.csv'
  data.write_text('question,answer\nq,a\n')
  assert run(
    'eval', '--gin_file=gin/runs/eval.gin', '--gin_file=gin/topologies/cpu.gin', '--gin_file=gin/models/from_checkpoint.gin',
    '--gin_file=gin/tasks/table.gin', '--gin_file=gin/observed/none.gin',
    f"--gin.DATA_FILE='{data}'", "--gin.DATASET='free'", "--gin.BANK_TASKS=['quiz']", f"--gin.BANKS=['{bank}']",
    f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'", f"--gin.OUTPUT_DIR='{tmp_path / 'out'}'",
    "--gin.MIXTURES=['free_eval_unobserved']",
  ) == 2  # fmt: skip
  assert (
    'SCORER: rank_likelihood ranks options, but of free_eval_unobserved example 2 lacks options'
    in capsys.readouterr().err
  )
  assert not (tmp_path / 'out').exists()


def test_perturb_writes_a_bank_that_is_read_beside_the_unperturbed_one(bank, tmp_path, capsys):
  out = tmp_path / 'perturbed'
  arguments = ['tasks', 'perturb', '--bank', bank, '--kinds', 'persona,option_order', '--out', out]
  assert run(*arguments) == 0
  told = capsys.readouterr().out
  assert '2 of 2 phrasings  persona' in told and '1 of 2 phrasings  option_order' in told
  text = (out / 'mine_perturbed.yaml').read_text()
  assert text.startswith('# Perturbed phrasings, seed 0;') and 'listed_persona:' in text and 'shuffle: ' in text
  assert run('tasks', 'validate', bank, out) == 0
  assert '1  mine, option_order' in capsys.readouterr().out
  assert run(*arguments, '--seed', 1) == 0 and (out / 'mine_perturbed.yaml').read_text() != text
  assert run('tasks', 'perturb', '--bank', bank, '--kinds', 'tpyos', '--out', out) == 2
  assert "no perturbation 'tpyos'; use some of typos" in capsys.readouterr().err
  (bank / 'mine.yaml').write_text(
    BANK.replace('role: evaluation', 'role: alignment').replace('    alike: "{question}?  "\n', '')
  )
  assert run('tasks', 'perturb', '--bank', bank, '--out', tmp_path / 'none') == 2
  assert 'no phrasing with the role evaluation has anything to perturb' in capsys.readouterr().err
  assert not (tmp_path / 'none').exists()
