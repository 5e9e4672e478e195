"""Phrasings inside a tf.data pipeline: templates as tables, and preprocessors that fill them in.

All of it is TensorFlow ops, without Python callbacks but those of a vocabulary that needs them, and all randomness comes
from stateless ops under seeds that are elements of the dataset, so that an iterator can be saved and restored.
TensorFlow and seqio are imported when a preprocessor runs, not with this module.

The preprocessors take what `examples.as_dataset` makes, whose features are strings: example_id, one
"fields/<name>" for each text that the templates name, and for each form of the answer golds [A], options [A] (JSON),
option_list [A] (the same options, separated), alternatives [A], right_options [A] and option_texts [A] (JSON), right_list [A]
(right_options, separated). They are
dataclasses with the attributes `sequence_length` and `output_features`, which seqio sets.

Shape letters: A forms of the answer, C options, K phrasings, T input tokens, L target tokens,
N templates, S segments, F fields.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import TYPE_CHECKING, Any

from seqio_tasks import framing
from seqio_tasks.bank.instruction import Instruction
from seqio_tasks.bank.templates import parse_template
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import flattening
from seqio_tasks.pipeline.cutting import feature_length, vocabularies

if TYPE_CHECKING:
  import tensorflow as tf


FIELD_PREFIX = 'fields/'
# Features that hold a value for each form of the answer.
OF_ANSWERS = ('golds', 'options', 'option_list', 'alternatives', 'right_options', 'right_list', 'option_texts')
OPTION_SEPARATOR = '\x1f'  # between the options in the feature "option_list"


@dataclasses.dataclass(frozen=True)
class TemplateTable:
  """Templates cut into segments, each a literal text and the field that follows it.

  Attributes:
    literals: [N, S] texts, "" after a template's end.
    fields: [N, S] 1 + index into `field_names`, 0 where no field follows.
    field_names: the F names that the templates use.
  """

  literals: tuple[tuple[str, ...], ...]
  fields: tuple[tuple[int, ...], ...]
  field_names: tuple[str, ...]

  def render(self, values: Mapping[str, tf.Tensor], indices: tf.Tensor) -> tf.Tensor:
    """Fills templates in; equal to `templates.render` of each.

    Args:
      values: a scalar string for each of `field_names`.
      indices: [K] int32, which templates.

    Returns:
      [K] strings.
    """
    import tensorflow as tf

    values = tf.stack([tf.constant(''), *(values[name] for name in self.field_names)])  # [F + 1]
    literals = tf.gather(tf.constant(self.literals), indices)  # [K, S]
    filled = tf.gather(values, tf.gather(tf.constant(self.fields), indices))  # [K, S]
    return tf.strings.reduce_join(tf.strings.join([literals, filled]), axis=-1)


def compile_templates(templates: Sequence[str]) -> TemplateTable:
  """Cuts templates into a table; ValueError if there is none or one is malformed."""
  if not templates:
    raise UserError('no template to compile; give at least one')
  parsed = [parse_template(template) for template in templates]
  names = tuple(dict.fromkeys(name for pairs in parsed for _, name in pairs if name))
  index = {'': 0} | {name: i + 1 for i, name in enumerate(names)}
  width = max(len(pairs) for pairs in parsed)
  padded = [pairs + [('', '')] * (width - len(pairs)) for pairs in parsed]
  return TemplateTable(
    literals=tuple(tuple(literal for literal, _ in pairs) for pairs in padded),
    fields=tuple(tuple(index[name] for _, name in pairs) for pairs in padded),
    field_names=names,
  )


@dataclasses.dataclass(frozen=True)
class StackPhrasings:
  """Preprocessor for training; see `stack_phrasings`."""

  num_phrasings: int
  num_canonical: int
  flat: flattening.FlatPhrasings
  sequence_length: Mapping[str, int] | None = None
  output_features: Mapping[str, Any] | None = None

  def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Maps examples to [K, T] inputs; ValueError if K exceeds T's limit."""
    import seqio
    import tensorflow as tf

    max_inputs = feature_length(self.sequence_length, 'inputs')
    if max_inputs is not None and self.num_phrasings > max_inputs:
      raise UserError(
        f"num_phrasings is {self.num_phrasings} but sequence_length['inputs'] is {max_inputs}: "
        'seqio trims the first axis of inputs, the phrasings, to that length; raise '
        "sequence_length['inputs'] or lower num_phrasings"
      )
    table = compile_templates(self.flat.templates)
    values_of = _field_reader(table, dataset)
    inputs_vocabulary, targets_vocabulary = vocabularies(self.output_features)
    framing.check_room(inputs_vocabulary, max_inputs)
    num_paraphrases = len(self.flat.templates) - self.num_canonical

    def stack(example, seed):
      seeds = tf.random.split(tf.stack(seed), 2)
      first = tf.random.stateless_uniform([1], seeds[0], maxval=self.num_canonical, dtype=tf.int32)
      order = tf.random.experimental.stateless_shuffle(tf.range(num_paraphrases), seeds[1])
      rest = self.num_canonical + order[: self.num_phrasings - 1]
      indices = tf.ensure_shape(tf.concat([first, rest], axis=0), [self.num_phrasings])
      texts = table.render(values_of(example), indices)
      ids, truncated = framing.inputs_tf(inputs_vocabulary, texts, max_inputs)
      shape = [self.num_phrasings, max_inputs]
      gold = example['golds'][tf.gather(tf.constant(self.flat.answer_index), first[0])]
      targets, _ = framing.answers_tf(targets_vocabulary, gold[None], feature_length(self.sequence_length, 'targets'))
      return {
        'inputs': tf.ensure_shape(ids.to_tensor(inputs_vocabulary.pad_id, shape=shape), shape),
        'targets': targets[0],
        'inputs_pretokenized': texts,
        'targets_pretokenized': gold,
        'instruction_index': indices,
        'truncated_tokens': truncated,
      }

    return seqio.map_over_dataset(stack, num_seeds=1)(dataset)


@dataclasses.dataclass(frozen=True)
class ExpandPhrasings:
  """Preprocessor for evaluation; see `expand_phrasings`."""

  flat: flattening.FlatPhrasings
  sequence_length: Mapping[str, int] | None = None
  output_features: Mapping[str, Any] | None = None

  def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Maps each example to N examples with [<= T] inputs."""
    import tensorflow as tf

    inputs_vocabulary, targets_vocabulary = vocabularies(self.output_features)
    max_inputs = feature_length(self.sequence_length, 'inputs')
    max_targets = feature_length(self.sequence_length, 'targets')
    framing.check_room(inputs_vocabulary, max_inputs)

    def tokenise(example):
      inputs, truncated = framing.inputs_tf(inputs_vocabulary, example['text'], max_inputs)
      targets, cut = framing.answers_tf(targets_vocabulary, example['gold'], max_targets)
      return {
        'inputs': inputs,
        'targets': targets,
        'inputs_pretokenized': example['text'],
        'targets_pretokenized': example['gold'],
        'example_id': example['example_id'],
        'instruction_id': example['instruction_id'],
        'group': tf.fill(tf.shape(example['text']), self.flat.group),
        'options': example['options'],
        'alternatives': example['alternatives'],
        'right_options': example['right_options'],
        'option_texts': example['option_texts'],
        'truncated_tokens': truncated,
        'cut_answer_tokens': tf.maximum(cut - 1, 0),  # a text of L tokens may do without EOS
      }

    # All phrasings of an example at once: the cost of a call outweighs that of a short text.
    return _render_all(self.flat, dataset).map(tokenise, num_parallel_calls=tf.data.AUTOTUNE).unbatch()


@dataclasses.dataclass(frozen=True)
class RankOptions:
  """Preprocessor for rank classification; see `rank_options`."""

  flat: flattening.FlatPhrasings
  sequence_length: Mapping[str, int] | None = None
  output_features: Mapping[str, Any] | None = None

  def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Maps each example to N x C examples, one for each option."""
    import tensorflow as tf

    inputs_vocabulary, targets_vocabulary = vocabularies(self.output_features)
    max_inputs = feature_length(self.sequence_length, 'inputs')
    framing.check_room(inputs_vocabulary, max_inputs)

    def score(row, example):
      options = tf.strings.split(example['option_list'], OPTION_SEPARATOR)
      inputs, truncated = framing.inputs_tf(inputs_vocabulary, example['text'][None], max_inputs)
      targets, _ = framing.answers_tf(targets_vocabulary, options, None)  # CutToLength refuses what is too long
      count = tf.shape(options)[0]
      right = tf.strings.to_number(tf.strings.split(example['right_list'], OPTION_SEPARATOR), tf.int32)
      return {
        'inputs': tf.repeat(inputs.to_tensor(), count, axis=0),
        'targets': targets,
        'inputs_pretokenized': tf.repeat(example['text'], count),
        'targets_pretokenized': options,
        'idx': tf.stack([tf.repeat(tf.cast(row, tf.int32), count), tf.range(count)], axis=1),
        'is_correct': tf.reduce_any(tf.equal(tf.range(count)[:, None], right[None]), axis=1),
        'example_id': tf.repeat(example['example_id'], count),
        'instruction_id': tf.repeat(example['instruction_id'], count),
        'group': tf.fill([count], self.flat.group),
        'truncated_tokens': tf.repeat(truncated[0], count),
      }

    rows = _render_all(self.flat, dataset).unbatch().enumerate()
    return rows.map(score, num_parallel_calls=tf.data.AUTOTUNE).unbatch()


def _render_all(flat: flattening.FlatPhrasings, dataset: tf.data.Dataset) -> tf.data.Dataset:
  """Each example under every template, as [N] strings."""
  import tensorflow as tf

  table = compile_templates(flat.templates)
  values_of = _field_reader(table, dataset)
  ids = [i.id for i in flat.instructions]

  chosen = flat.answer_index

  def render(example):
    return {
      'text': table.render(values_of(example), tf.range(len(ids))),
      'example_id': tf.repeat(example['example_id'], len(ids)),
      'instruction_id': tf.constant(ids),
      'gold': tf.gather(example['golds'], chosen),
      **{name: tf.gather(example[name], chosen) for name in OF_ANSWERS},
    }

  return dataset.map(render, num_parallel_calls=tf.data.AUTOTUNE)


def stack_phrasings(
  num_phrasings: int,
  canonical: Iterable[Instruction],
  paraphrases: Iterable[Instruction] = (),
) -> StackPhrasings:
  """Preprocessor for training: K phrasings of each example, one canonical and K - 1 paraphrases.

  The canonical phrasing comes first and is drawn anew for each example and epoch; the paraphrases
  are drawn without replacement. K = 1 is instruction tuning on canonical phrasings alone.

  It makes the features inputs [K, T] int32 (as `framing.inputs` has them, padded up to
  sequence_length["inputs"], or up to the longest where no length is set), targets [<= L] int32
  (as `framing.answers` has them), inputs_pretokenized [K], targets_pretokenized [], instruction_index [K]
  int32 (into the canonical instructions followed by the paraphrases) and truncated_tokens [K]
  int32 (how many tokens were cut off each phrasing). Declare inputs as a `seqio.Feature` of rank 2.

  Args:
    num_phrasings: K, at most 1 + the number of paraphrases; and at most
      sequence_length["inputs"], to which seqio trims the first axis of a rank-2 feature.
    canonical: at least one instruction.
    paraphrases: instructions for the same examples, none of them among the canonical ones. Where
      there are any, all instructions must ask for the answer in one form.
  """
  canonical, paraphrases = tuple(canonical), tuple(paraphrases)
  if not canonical:
    raise UserError('there is no canonical instruction to draw from; give at least one')
  if not 1 <= num_phrasings <= 1 + len(paraphrases):
    raise UserError(
      f'num_phrasings is {num_phrasings}, but task {canonical[0].task!r} has {len(paraphrases)} '
      f'paraphrases; choose 1 to {1 + len(paraphrases)}'
    )
  _check_unique((*canonical, *paraphrases))
  flat = flattening.flatten((*canonical, *paraphrases))
  if paraphrases and len(flat.answers) > 1:
    first = [flat.instructions[flat.answer_index.index(k)].id for k in (0, 1)]
    raise UserError(
      f'{first[0]} and {first[1]} ask for the answer in two forms, so that they cannot be aligned with each other; '
      'give instructions of one form'
    )
  return StackPhrasings(num_phrasings, len(canonical), flat)


def expand_phrasings(
  instructions: Iterable[Instruction], examples: Sequence[Mapping[str, Any]] = (), group: str = ''
) -> ExpandPhrasings:
  """Preprocessor for evaluation: each example under every instruction, one after the other.

  It makes flat examples with the features inputs [<= T] and targets [<= L] int32 (as `framing.inputs` and
  `framing.answers` have them; unpadded), truncated_tokens [] int32 (how many tokens were cut off),
  and the strings inputs_pretokenized, targets_pretokenized (the gold answer), example_id,
  instruction_id, group, options and alternatives (JSON lists; what may be answered, and what else is right).

  Args:
    instructions: at least one, all for the same examples.
    examples: shown before each example, in the few-shot form.
    group: that results are counted in.
  """
  return ExpandPhrasings(_checked(instructions, examples, group))


def rank_options(
  instructions: Iterable[Instruction], examples: Sequence[Mapping[str, Any]] = (), group: str = ''
) -> RankOptions:
  """Preprocessor for rank classification: each example under every instruction with each option as target.

  Beside the features of `expand_phrasings` it makes idx [2] int32 (number of the example and instruction, number of
  the option) and is_correct [] bool, from which `seqio_metrics.rank_accuracy` finds the option that scores best.

  Args:
    instructions: at least one, all for the same examples.
    examples: shown before each example, in the few-shot form.
    group: that results are counted in.
  """
  return RankOptions(_checked(instructions, examples, group))


def _checked(
  instructions: Iterable[Instruction], examples: Sequence[Mapping[str, Any]], group: str
) -> flattening.FlatPhrasings:
  instructions = tuple(instructions)
  if not instructions:
    raise UserError('there is no instruction to evaluate under; give at least one')
  _check_unique(instructions)
  return dataclasses.replace(flattening.flatten(instructions, examples), group=group)


def _check_unique(instructions: Sequence[Instruction]) -> None:
  counts = collections.Counter(i.id for i in instructions)
  repeated = sorted(id_ for id_, n in counts.items() if n > 1)
  if repeated:
    raise UserError(f'instructions that stand twice: {repeated}; keep each once')


def _field_reader(table: TemplateTable, dataset: tf.data.Dataset):
  """A function from an example to its fields' values; ValueError if the data lack a field."""
  present = [name.removeprefix(FIELD_PREFIX) for name in dataset.element_spec if name.startswith(FIELD_PREFIX)]
  missing = [name for name in table.field_names if name not in present]
  if missing:
    raise UserError(f'the templates name the fields {missing}, which the examples lack; they have {present}')
  return lambda example: {name: example[FIELD_PREFIX + name] for name in table.field_names}
