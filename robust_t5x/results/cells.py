"""Where the rows of a results table stand among the cells, so that its values become arrays of examples by phrasings."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from seqio_tasks.errors import UserError

# Dataset -> group -> array.
Arrays = Mapping[str, Mapping[str, np.ndarray]]


class Cells:
  """Places the values of a table's rows in arrays of shape [N, k], examples by phrasings.

  A table of accuracies per phrasing, which has no `example_id`, counts as one with a single example. The groups of a
  dataset have the same examples in the same order; datasets, groups, examples and phrasings keep the table's order.

  Attributes:
    examples: dataset -> example ids [N].
    phrasings: dataset -> group -> instruction ids [k].
  """

  def __init__(self, table: pd.DataFrame):
    """Finds every row's place.

    Args:
      table: results of one model and scorer.

    Raises:
      UserError: if a cell stands twice, such as for two models or scorers in one table, or a dataset is called as the mean
        of all is.
    """
    if 'example_id' not in table:
      table = table.assign(example_id='')
    datasets, dataset_names = pd.factorize(table['dataset'])
    if 'all' in dataset_names:
      raise UserError("has a dataset called 'all', as tables call the mean of all; give it another name")
    self.examples: dict[str, np.ndarray] = {}
    self.phrasings: dict[str, dict[str, np.ndarray]] = {}
    self._rows: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    for dataset, in_dataset in zip(dataset_names, _rows_of(datasets, len(dataset_names)), strict=True):
      rows = table.iloc[in_dataset]
      examples, self.examples[dataset] = _factorize(rows['example_id'])
      groups, group_names = pd.factorize(rows['group'])
      self.phrasings[dataset] = {}
      for group, in_group in zip(group_names, _rows_of(groups, len(group_names)), strict=True):
        phrasings, ids = _factorize(rows['instruction_id'].iloc[in_group])
        self.phrasings[dataset][group] = ids
        place = examples[in_group] * len(ids) + phrasings
        self._rows[dataset, group] = in_dataset[in_group], place
        counts = np.bincount(place)
        if counts.max() > 1:
          example, phrasing = divmod(int(counts.argmax()), len(ids))
          raise UserError(
            f'the results have more than one score of example {self.examples[dataset][example]!r} under '
            f'{ids[phrasing]!r}; give one table for each model and scorer'
          )

  def fill(self, values: np.ndarray, missing: float) -> Arrays:
    """Arrays of a value per row.

    Args:
      values: one for each row of the table.
      missing: of cells that were not evaluated.

    Returns:
      dataset -> group -> array [N, k].
    """
    values = np.asarray(values)
    out: dict[str, dict[str, np.ndarray]] = {}
    for (dataset, group), (rows, place) in self._rows.items():
      n, k = len(self.examples[dataset]), len(self.phrasings[dataset][group])
      array = np.full(n * k, missing, np.result_type(values.dtype, type(missing)))
      array[place] = values[rows]
      out.setdefault(dataset, {})[group] = array.reshape(n, k)
    return out


def _factorize(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
  codes, names = pd.factorize(column)
  return codes, np.asarray(names, object)


def _rows_of(codes: np.ndarray, count: int) -> list[np.ndarray]:
  """The rows of each code, in the table's order."""
  return np.split(np.argsort(codes, kind='stable'), np.cumsum(np.bincount(codes, minlength=count))[:-1])
