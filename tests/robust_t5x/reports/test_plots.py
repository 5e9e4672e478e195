"""The pictures of a report as files."""

import matplotlib.pyplot as plt
import pandas as pd

from robust_t5x.reports import plots
from robust_t5x.reports.inputs import read
from robust_t5x.reports.scaling import find_families
from robust_t5x.reports.summary import summarise
from robust_t5x.reports.uncertainty import rows as uncertainties
from seqio_tasks.bank.instruction import PERTURBATIONS


def test_pictures_are_written_where_there_is_something_to_draw(tmp_path):
  rows = [
    (model, 'd', group, f'{group}{i}', e, int(e < base + i))
    for model, base in (('flan-t5-small', 2), ('flan-t5-base', 4))
    for group in ('observed', 'unobserved')
    for i in range(3)
    for e in range(10)
  ]
  table = pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'example_id', 'score'])
  table.to_csv(tmp_path / 't.csv', index=False)
  inputs = read([str(tmp_path / 't.csv')])
  plots.write_all(inputs, summarise(inputs), find_families(inputs), uncertainties(inputs), str(tmp_path))
  for name in ('plot', 'paired', 'scaling', 'uncertainty'):
    assert (tmp_path / f'{name}.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / f'{name}.pdf').read_bytes().startswith(b'%PDF')
  assert not plt.get_fignums()


def test_differences_have_a_panel_for_each_group():
  table = pd.DataFrame(
    {'dataset': ['all', 'd'] * 2, 'group': ['observed'] * 2 + ['unobserved'] * 2, 'difference': 0.1, 'low': 0.05, 'high': 0.2}
  )  # fmt: skip
  figure = plots.differences(table, ['observed', 'unobserved'])
  assert [axes.get_title() for axes in figure.axes] == ['observed phrasings', 'unobserved phrasings']
  plt.close(figure)


def test_a_model_without_the_first_group_is_in_the_legend(tmp_path):
  rows = [('flan-t5-small', 'observed', 'a'), ('flan-t5-base', 'unobserved', 'b')]
  table = pd.DataFrame(rows, columns=['model', 'group', 'instruction_id']).assign(dataset='d', score=0.5)
  table.to_csv(tmp_path / 't.csv', index=False)
  inputs = read([str(tmp_path / 't.csv')])
  figure = plots.overview(inputs, summarise(inputs))
  assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ['flan-t5-small', 'flan-t5-base']
  plt.close(figure)


def test_names_of_many_groups_do_not_run_into_each_other(tmp_path):
  groups = ['unobserved', *PERTURBATIONS]
  rows = [('m', 'd', group, f'{group}{i}', 0.1 * i) for group in groups for i in range(3)]
  table = pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'score'])
  table.to_csv(tmp_path / 't.csv', index=False)
  inputs = read([str(tmp_path / 't.csv')])
  figure = plots.overview(inputs, summarise(inputs))
  figure.draw_without_rendering()
  boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
  assert len(boxes) == len(groups)
  assert all(left.x1 <= right.x0 for left, right in zip(boxes, boxes[1:], strict=False))
  plt.close(figure)
