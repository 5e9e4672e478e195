"""The verb `design`: what it says, writes and refuses."""

import pandas as pd
import pytest

from robust_t5x import design
from robust_t5x.analysis.comparison import compare


def test_a_design_in_words_and_files(evaluations, tmp_path, capsys):
  before, _ = evaluations
  out = str(tmp_path / 'out')
  arguments = [before, '--margin', '10', '--tokens-per-row', '200', '--price', '0.5', '--seconds-per-row', '0.1']
  assert design.main([*arguments, '--out', out]) == 0
  said = capsys.readouterr().out
  assert said.startswith('The gap of no adapter: ')
  assert 'shows a difference of 10 points with a probability of 80%. These are ' in said
  assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
    f'design.{e}' for e in ('csv', 'md', 'pdf', 'png', 'tex')
  ]
  table = pd.read_csv(tmp_path / 'out/design.csv')
  assert table['rows'].tolist() == (table['phrasings'] * table['examples'] * 2 * 2).tolist()
  assert (table['power'] >= 0.8).all()
  assert table['million tokens'].tolist() == pytest.approx((table['rows'] * 200 / 1e6).tolist())
  assert table['money'].tolist() == pytest.approx((table['rows'] * 1e-4).tolist())
  assert table['hours'].tolist() == pytest.approx((table['rows'] / 36000).tolist())
  best = table.loc[table['rows'].idxmin(), ['phrasings', 'examples']].astype(int)
  assert (
    f'{best["phrasings"]:,} phrasings for each of 2 groups × {best["examples"]:,} examples of each of 2 datasets'
    in said
  )


def test_of_two_models_the_change_and_of_one_the_mean(evaluations, capsys):
  before, after = evaluations
  assert design.main([before, *after, '--margin', '10']) == 0
  assert capsys.readouterr().out.startswith('The change from no adapter to aligned under unobserved phrasings: ')
  assert design.main([before, *after, '--margin', '10', '--of', 'gap-change']) == 0
  assert capsys.readouterr().out.startswith('The change of the gap from no adapter to aligned: ')
  assert design.main([before, '--of', 'mean', '--group', 'observed', '--margin', '5']) == 0
  said = capsys.readouterr().out
  assert said.startswith('The mean of no adapter under observed phrasings: ') and 'is within ±5 points' in said
  # What is at hand has the interval that the report gives.
  interval = compare([before]).contrast({'observed': 1.0}, [('no adapter', 1.0)]).interval()
  assert f'±{100 * (interval.high - interval.estimate):.1f}'[:3] in said


def test_of_a_sample_at_hand_its_share_of_the_cells_is_told(evaluations, tmp_path, capsys):
  table = pd.read_csv(f'{evaluations[0]}/results.csv')
  table['score'] = table['score'].where(table.index % 4 > 0)
  table.dropna(subset='score').to_csv(tmp_path / 'some.csv', index=False)
  assert design.main([str(tmp_path / 'some.csv'), '--margin', '10']) == 0
  assert (
    'At hand are 75.0% of the cells of 2 phrasings × 40 examples; all of them would have ' in capsys.readouterr().out
  )


@pytest.mark.parametrize(
  ('more', 'message'),
  [
    (['--of', 'change'], 'a change is of two models'),
    (['--group', 'default'], 'no default phrasings; --group is one of observed, unobserved'),
    (['--margin', '0.00001'], 'take a greater --margin'),
  ],
)
def test_what_cannot_be_planned(evaluations, capsys, more, message):
  before, _ = evaluations
  assert design.main([before, *more]) == 2
  assert message in capsys.readouterr().err


@pytest.mark.parametrize('more', [['--margin', '0'], ['--power', '1'], ['--seeds', '0'], ['--price', '-1']])
def test_settings_out_of_range(evaluations, capsys, more):
  with pytest.raises(SystemExit):
    design.main([evaluations[0], *more])
  assert more[0] in capsys.readouterr().err
