"""Batches of examples under several phrasings, each of examples of like length, drawn without TensorFlow.

Half of a batch of the mini suite was padding, since every example was padded to the most that any may have. Now a batch has one of
a few shapes, and an example waits for others that its shape fits. What is drawn, and in which order, follows from the seed alone;
so do the batches, on every process alike.
"""

from collections.abc import Mapping, Sequence
import json

from etils import epath
import numpy as np

from robust_t5x.models.protocol import SpecialIds
from robust_t5x.runtime import files
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline.phrasings import StackPhrasings
from seqio_tasks.pipeline.reading import Reader, Stacked

Shape = tuple[int, int]  # tokens of inputs and of targets
Drawn = tuple[int, int, tuple[int, ...]]  # task, example, its phrasings
Waiting = list[tuple[Drawn, Stacked]]

_SHAPES = 4  # a program is compiled for each
_SAMPLE = 512  # examples whose lengths the shapes are chosen by
_STEPS = 16  # lengths that a shape may have, in as many steps up to the greatest
_BLOCK = 1024  # draws that are made together
_TASKS, _ORDER, _PHRASINGS, _LENGTHS = range(4)  # streams of random numbers


class Source:
  """A task to draw from: all its examples in random order, then all of them in another.

  Attributes:
    reader: of its examples.
    num_phrasings: K.
  """

  def __init__(self, reader: Reader, preprocessor: StackPhrasings, seed: int, place: int):
    """Prepares.

    Args:
      reader: of its examples.
      preprocessor: how many phrasings are drawn, and of which.
      seed: of the order and the phrasings.
      place: among the tasks, which draw independently of each other.
    """
    self.reader = reader
    self.num_phrasings = preprocessor.num_phrasings
    self._preprocessor, self._seed, self._place = preprocessor, seed, place
    self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))
    self._phrasings: tuple[int, np.ndarray] = (-1, np.empty(0, int))

  def draw(self, count: int) -> tuple[int, tuple[int, ...]]:
    """(example, a canonical phrasing and then paraphrases) of the draw with this number; it depends on no other draw."""
    size = len(self.reader.examples)
    epoch, place = divmod(count, size)
    if self._order[0] != epoch:
      self._order = epoch, _random(self._seed, _ORDER, self._place, epoch).permutation(size)
    block, row = divmod(count, _BLOCK)
    if self._phrasings[0] != block:
      self._phrasings = block, self._draw_phrasings(_random(self._seed, _PHRASINGS, self._place, block))
    return int(self._order[1][place]), tuple(self._phrasings[1][row].tolist())

  def _draw_phrasings(self, random: np.random.Generator) -> np.ndarray:
    canonical, whole = self._preprocessor.num_canonical, len(self._preprocessor.flat.templates)
    first = random.integers(canonical, size=(_BLOCK, 1))
    order = random.random((_BLOCK, whole - canonical)).argsort(axis=1)
    return np.concatenate([first, canonical + order[:, : self.num_phrasings - 1]], axis=1)


class PhrasingBatches:
  """Endless batches with the features of models.features, an iterator that can be saved.

  Attributes:
    shapes: that batches have, cheapest first.
  """

  def __init__(
    self,
    sources: Sequence[Source],
    rates: Sequence[float],
    lengths: Mapping[str, int],
    batch_size: int,
    seed: int,
    ids: SpecialIds,
    one_shape: bool = False,
  ):
    """Prepares.

    Args:
      sources: tasks, all with the same number of phrasings.
      rates: how much each counts.
      lengths: most tokens of 'inputs' and 'targets'.
      batch_size: examples of a batch.
      seed: of all that is drawn.
      ids: the model's special ids.
      one_shape: whether all batches are padded to the greatest shape, for a program that takes no other; their examples are
        the same.
    """
    self._sources, self._batch_size, self._seed, self._ids = sources, batch_size, seed, ids
    self._rates = np.asarray(rates) / np.sum(rates)
    self._tasks: tuple[int, np.ndarray] = (-1, np.empty(0, int))
    self.shapes = choose_shapes(self._sample(), (lengths['inputs'], lengths['targets']))
    self._one_shape = one_shape
    self._drawn = 0
    self._taken = [0] * len(sources)
    self._waiting: list[Waiting] = [[] for _ in self.shapes]

  def __iter__(self) -> 'PhrasingBatches':
    return self

  def __next__(self) -> dict[str, np.ndarray]:
    """The next batch: inputs [B, K, T] and targets [B, L] of one of the shapes, int32."""
    while True:
      drawn = self._draw()
      stacked = self._stack(drawn)
      size = _size(stacked)
      place = next(i for i, shape in enumerate(self.shapes) if _fits(size, shape))
      self._waiting[place].append((drawn, stacked))
      if len(self._waiting[place]) == self._batch_size:
        members, self._waiting[place] = self._waiting[place], []
        return self._batch([stacked for _, stacked in members], self.shapes[-1 if self._one_shape else place])

  def batch_shapes(self) -> dict[str, tuple[int, ...]]:
    """Feature -> shape of the greatest batch."""
    (inputs, targets), batch = self.shapes[-1], self._batch_size
    answers = ('decoder_target_tokens', 'decoder_input_tokens', 'decoder_loss_weights')
    phrasings = self._sources[0].num_phrasings
    return {'encoder_input_tokens': (batch, phrasings, inputs)} | dict.fromkeys(answers, (batch, targets))

  def save(self, path: str) -> None:
    """Writes the position to a file, local or in a bucket."""
    waiting = [[drawn for drawn, _ in rows] for rows in self._waiting]
    state = {'drawn': self._drawn, 'taken': self._taken, 'waiting': waiting}
    files.write_atomically(path, json.dumps(state) + '\n')

  def restore(self, path: str) -> None:
    """Goes to a position that was saved.

    Raises:
      UserError: if the file holds none, or that of other tasks.
    """
    try:
      state = json.loads(epath.Path(path).read_text())
      waiting = [[(task, example, tuple(chosen)) for task, example, chosen in rows] for rows in state['waiting']]
      drawn, taken = int(state['drawn']), [int(n) for n in state['taken']]
    except (ValueError, KeyError, TypeError) as e:
      raise UserError(f'{path} is no position in the data; delete the checkpoint of its step') from e
    if len(taken) != len(self._sources) or len(waiting) != len(self.shapes):
      raise UserError(f'{path} is a position in other data; give another MODEL_DIR')
    self._drawn, self._taken = drawn, taken
    self._waiting = [[(member, self._stack(member)) for member in rows] for rows in waiting]

  def _draw(self) -> Drawn:
    block, row = divmod(self._drawn, _BLOCK)
    if self._tasks[0] != block:
      random = _random(self._seed, _TASKS, block)
      self._tasks = block, random.choice(len(self._sources), size=_BLOCK, p=self._rates)
    task = int(self._tasks[1][row])
    example, phrasings = self._sources[task].draw(self._taken[task])
    self._drawn += 1
    self._taken[task] += 1
    return task, example, phrasings

  def _stack(self, drawn: Drawn) -> Stacked:
    task, example, phrasings = drawn
    return self._sources[task].reader.stack(example, phrasings)

  def _sample(self) -> list[Shape]:
    """Lengths of some examples of each task, as many as it counts."""
    random = _random(self._seed, _LENGTHS)
    sizes = []
    for task in random.choice(len(self._sources), size=_SAMPLE, p=self._rates).tolist():
      example, phrasings = self._sources[task].draw(int(random.integers(_BLOCK)))
      sizes.append(_size(self._stack((task, example, phrasings))))
    return sizes

  def _batch(self, members: Sequence[Stacked], shape: Shape) -> dict[str, np.ndarray]:
    most_inputs, most_targets = shape
    inputs = np.full((len(members), len(members[0].inputs), most_inputs), self._ids.pad, np.int32)
    targets = np.full((len(members), most_targets), self._ids.pad, np.int32)
    for row, member in enumerate(members):
      targets[row, : len(member.targets)] = member.targets
      for place, tokens in enumerate(member.inputs):
        inputs[row, place, : len(tokens)] = tokens
    begin = np.full((len(members), 1), self._ids.begin, np.int32)
    return {
      'truncated_tokens': np.asarray([member.truncated_tokens for member in members], np.int32),
      'cut_answer_tokens': np.asarray([member.cut_answer_tokens for member in members], np.int32),
      'encoder_input_tokens': inputs,
      'decoder_target_tokens': targets,
      'decoder_input_tokens': np.concatenate([begin, targets[:, :-1]], axis=1),
      'decoder_loss_weights': (targets != self._ids.pad).astype(np.int32),
    }


def choose_shapes(sizes: Sequence[Shape], greatest: Shape) -> list[Shape]:
  """A few shapes that leave little padding, cheapest first; the last is the greatest, and holds every example.

  Each is the one that saves most tokens beside those before it.

  >>> choose_shapes([(9, 2), (10, 2), (31, 4)], (32, 8))
  [(10, 2), (32, 4), (32, 8)]

  Args:
    sizes: tokens of inputs, in the longest phrasing, and of targets, of some examples.
    greatest: most that there may be.
  """
  inputs, targets = np.asarray(sizes).T
  candidates = [(i, t) for i in _lengths(greatest[0]) for t in _lengths(greatest[1])]
  costs = np.stack([np.where((inputs <= i) & (targets <= t), i + t, np.inf) for i, t in candidates])
  chosen, least = [greatest], np.full(len(sizes), float(sum(greatest)))
  while len(chosen) < _SHAPES:
    totals = np.minimum(costs, least).sum(axis=1)
    best = int(totals.argmin())
    if totals[best] >= least.sum():
      break
    chosen.append(candidates[best])
    least = np.minimum(least, costs[best])
  return sorted(chosen, key=lambda shape: (sum(shape), shape))


def _lengths(greatest: int) -> list[int]:
  step = max(1, greatest // _STEPS)
  return [*range(step, greatest, step), greatest]


def _size(stacked: Stacked) -> Shape:
  return max(map(len, stacked.inputs)), len(stacked.targets)


def _fits(size: Shape, shape: Shape) -> bool:
  return size[0] <= shape[0] and size[1] <= shape[1]


def _random(seed: int, *key: int) -> np.random.Generator:
  return np.random.default_rng([seed % 2**32, *key])
