"""The picture of the finding: accuracy under each group of phrasings, overall and for every phrasing."""

import os

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np

from robust_t5x import analysis, metrics

_COLOURS = ('#4c4c4c', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00')  # Okabe and Ito, after a neutral one
_FOCUS = (analysis.UNOBSERVED, 'correct')  # the group whose phrasings are drawn one by one


def write_all(comparison: analysis.Comparison, summary, families, out: str) -> None:
  """Writes `plot.png` and `plot.pdf`."""
  del summary, families
  for ending in ('png', 'pdf'):
    draw(comparison, os.path.join(out, f'plot.{ending}'))


def draw(comparison: analysis.Comparison, path: str) -> None:
  """Draws the comparison to a PNG file.

  Left: mean accuracy of each model under each group with its 95% interval. Right: for each dataset the accuracy of
  every phrasing of the group of interest, a row of dots for each model, with the mean as a bar.
  """
  models, groups = comparison.models, comparison.groups
  focus = next((group for group in _FOCUS if group in groups), groups[0])
  datasets = [name for name, scores in comparison.datasets.items() if focus in scores]
  height = max(3.2, 1.2 + 0.17 * len(datasets) * (len(models) + 0.8))
  figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, height), width_ratios=(1, 1.7), constrained_layout=True)
  for m, model in enumerate(models):
    for g, group in enumerate(groups):
      value = comparison.interval(model, group, "AvgP")
      x = g + (m - (len(models) - 1) / 2) * 0.16
      error = [[100 * (value.estimate - value.low)], [100 * (value.high - value.estimate)]]
      left.errorbar(
        x, 100 * value.estimate, error, fmt='o', color=_COLOURS[m % len(_COLOURS)], capsize=3,
        label=model if g == 0 else None,
      )  # fmt: skip
      left.annotate(
        f'{100 * value.estimate:.1f}', (x, 100 * value.estimate), xytext=(7 if m else -7, 0),
        textcoords='offset points', ha='left' if m else 'right', va='center', fontsize=8,
      )  # fmt: skip
  left.set_xticks(range(len(groups)), [f'{group}\nphrasings' for group in groups])
  left.set_xlim(-0.6, len(groups) - 0.4)
  left.set_ylabel('accuracy in %, mean over tasks')
  left.set_title('Overall, with 95% intervals', fontsize=10)
  left.legend(frameon=False, fontsize=9, loc='best')

  step = len(models) + 0.8
  for d, dataset in enumerate(datasets):
    scores = comparison.datasets[dataset][focus]
    for m, model in enumerate(models):
      y = -(d * step + m)
      colour = _COLOURS[m % len(_COLOURS)]
      accuracy = 100 * metrics.phrasing_accuracy(scores[comparison.runs_of(model)]).mean(axis=0)
      right.plot([accuracy.min(), accuracy.max()], [y, y], color=colour, linewidth=1, alpha=0.5, zorder=1)
      right.scatter(accuracy, np.full(len(accuracy), y), s=14, color=colour, alpha=0.55, linewidths=0, zorder=2)
      right.plot(accuracy.mean(), y, marker='|', markersize=9, markeredgewidth=2.2, color=colour, zorder=3)
  centre = (len(models) - 1) / 2
  right.set_yticks([-(d * step + centre) for d in range(len(datasets))], datasets, fontsize=8)
  right.set_xlim(-2, 102)
  right.set_xlabel('accuracy in %')
  right.set_title(f'Each dot one of the {focus} phrasings, the bar their mean', fontsize=10)
  right.grid(axis='x', linewidth=0.4, alpha=0.6)
  for axes in (left, right):
    axes.spines[['top', 'right']].set_visible(False)
  figure.savefig(path, dpi=150)
  plt.close(figure)
