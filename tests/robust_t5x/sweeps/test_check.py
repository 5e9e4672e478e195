"""Grids checked against the gin files before anything runs."""

from robust_t5x.sweeps import check, grid

MINI = ['gin/recipes/train/align_mini.gin', 'gin/adapters/prefix.gin', 'gin/objectives/kl.gin']


def test_a_grid_is_checked_against_the_gin_files(as_started_anew):
  """What the process of `check.check` answers, one request after another."""

  def answer(*axes, evaluate=('--gin_file=gin/recipes/eval/mini.gin',), files=MINI):
    trials = grid.trials(files, {}, [grid.parse_axis(a) for a in axes])
    return check.answer(check.request(trials, evaluate, ()))

  good = answer('LEARNING_RATE=0.1,1', 'PROMPT_INIT=uniform')
  assert [c['parameters'] for c in good['trials']] == [12300, 12300]
  assert {c['checkpoint'] for c in good['trials']} == {'bundled'} and good['trials'][0]['adapter']
  assert 'LEARNING_RATE = 1' in good['trials'][1]['config'] and "SCORER = 'exact_match'" in good['eval_config']
  for axes, message in [
    (['LEARNING_RAT=1'], 'trial LEARNING_RAT=1: --LEARNING_RAT: no gin file has a macro of this name; did you mean'),
    (
      ['ALIGNMENT_WEIGHT=0.5,2.0'],
      'trial ALIGNMENT_WEIGHT=2.0: --ALIGNMENT_WEIGHT is 2.0; it must be a number from 0 to 1',
    ),
    (['NUM_PARAPHRASES=9000'], 'num_phrasings is 9001'),
    (['PROMPT_INIT=uniform,3'], '--grid: PROMPT_INIT: 3 is no string'),
    (['ADAPTER_LENGTH=4,4.5'], '--grid: ADAPTER_LENGTH: 4.5 is no whole number'),
    (['gin_file=gin/ablations/none,gin/ablations/long.gin'], 'no file gin/ablations/none; did you mean gin/ablations/'),
    (['gin_file=gin/objectives/likelihood.gin'], 'give only one of these files'),
    (['MIXTURE_OR_TASK_NAME=mini_aligment'], 'did you mean mini_alignment?'),
  ]:
    assert message in answer(*axes)['error'], axes
  vectors = ['gin/adapters/soft_prompt.gin' if f.startswith('gin/adapters') else f for f in MINI]
  assert 'PROMPT_INIT' in answer('PROMPT_INIT=vocabulary,vocabulry', files=vectors)['error']
  missing = answer('LEARNING_RATE=1', evaluate=['--gin_file=gin/recipes/eval/mini.gin', "--gin.MIXTURES=['nothing']"])
  assert missing['error'].startswith('evaluation: ') and 'nothing' in missing['error']
  for setting, message in [
    ("SPLIT='dev'", "evaluation: --eval.SPLIT: task mini_first_word_eval_observed has no split 'dev'; choose among "),
    ("SCORER='exact'", "evaluation: --eval.SCORER: unknown scorer 'exact'"),
    ('CELL_BUDGET=0', 'evaluation: --eval.CELL_BUDGET is 0'),
    ('STOP_WIDTH=60', 'evaluation: --eval.STOP_WIDTH is 60'),
  ]:
    said = answer('LEARNING_RATE=1', evaluate=['--gin_file=gin/recipes/eval/mini.gin', f'--gin.{setting}'])
    assert said['error'].startswith(message), setting
