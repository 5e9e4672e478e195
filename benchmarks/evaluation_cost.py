"""Counts what evaluation computes: padding and program shapes on MMLU, and arithmetic of the compiled programs.

  python benchmarks/evaluation_cost.py --data DIR [--size small] [--out out/evaluation_cost.json]

DIR holds mmlu/ and vocab/t5.sentencepiece.model. Nothing is timed. The floor of a question is 2 operations for each
weight and token that take part, attention included: its tokens through the encoder and the decoder's key and value
projections once, and through the decoder the first step and one more for each further token of an option.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

CHOICES, LONGEST = 4, 512


def question_lengths(data, phrasings):
  """Tokens of every MMLU question under some phrasings of the bank, cut at 512."""
  from robust_t5x.checkpoints import vocabularies
  from seqio_tasks import datasets
  from seqio_tasks.bank import reading

  vocabulary = vocabularies.vocabulary(str(data / 'vocab' / 't5.sentencepiece.model'))
  items = [datasets.item_of(e) for e in datasets.mmlu(data / 'mmlu')[-1].splits['test']()]
  bank = reading.read_banks(['package']).select('multiple_choice', collections=['general_evaluation'])
  layouts = [i.layout for i in bank if i.layout.template][:phrasings]
  texts = [layout.render(item).input_text for layout in layouts for item in items]
  return [min(len(ids) + 1, LONGEST) for ids in vocabulary.tokenizer.encode(texts)]


def paddings(lengths):
  """(name, share of computed tokens that is padding, number of program shapes) of ways to batch."""
  from robust_t5x.models import batching

  rows = []
  for batch_size in (16, 64, 128):
    batches = batching.plan_batches(lengths, batch_size, LONGEST)
    computed = sum(b.rows * b.length for b in batches)
    rows.append(
      (f'ours, batch size {batch_size}', 1 - sum(lengths) / computed, len({(b.rows, b.length) for b in batches}))
    )
  for size in (8, 32):
    groups = [lengths[i : i + size] for i in range(0, len(lengths), size)]
    computed = sum(len(g) * max(g) for g in groups)
    rows.append((f'in file order, {size} rows, padded to the longest', 1 - sum(lengths) / computed, None))
  rows.append(('padded to 512', 1 - sum(lengths) / (len(lengths) * LONGEST), 1))
  return rows


def floor(config, tokens, positions):
  """Operations that a question needs; see the module."""
  inner, width = config.num_heads * config.head_dim, config.emb_dim
  mlp = (1 + len(config.mlp_activations)) * width * config.mlp_dim
  encoder = config.num_encoder_layers * tokens * (4 * width * inner + mlp + 2 * tokens * inner)
  keys = config.num_decoder_layers * tokens * 2 * width * inner
  attended = 2 * (tokens + positions) * inner
  decoder = config.num_decoder_layers * positions * (6 * width * inner + mlp + attended)
  return 2 * (encoder + keys + decoder + positions * width * config.vocab_size)


def programs(size, tokens, rows):
  """(name, operations a question of the compiled program, of the floor) of each way to score four letters."""
  import jax
  import jax.numpy as jnp

  from robust_t5x.models import families, robust, t5

  class Vocabulary:
    pad_id, eos_id = 0, 1

  config = families.config('t5_1_1', size)
  model = robust.RobustModel(t5.Transformer(config), Vocabulary, Vocabulary)
  params, _ = model.variable_shapes()

  def ints(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)

  def count(program, *arguments):
    return program.lower(params, *arguments).compile().cost_analysis()['flops'] / rows

  options = ints(rows, CHOICES, 2)
  repeated = rows * CHOICES
  batch = {
    'encoder_input_tokens': ints(repeated, tokens),
    'decoder_input_tokens': ints(repeated, 2),
    'decoder_target_tokens': ints(repeated, 2),
  }
  needed = floor(config, tokens, 1 + CHOICES)
  # The loop's body, a decoder step, is counted once; two are needed for a letter and the end token.
  return [
    ('rank_likelihood', count(model.compiled_score(), ints(rows, tokens), options), needed),
    ('paper_logits (one step counted)', count(model.compiled_score_free_running(), ints(rows, tokens), options),
     floor(config, tokens, 1)),
    ('score_batch, a row for each option', count(jax.jit(model.score_batch), batch), needed),
  ]  # fmt: skip


def main():
  """Prints two tables and writes JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data', required=True, metavar='DIR', type=pathlib.Path)
  parser.add_argument('--size', default='small')
  parser.add_argument('--phrasings', type=int, default=2)
  parser.add_argument('--tokens', type=int, default=128)
  parser.add_argument('--rows', type=int, default=16)
  parser.add_argument('--out', metavar='FILE', type=pathlib.Path)
  arguments = parser.parse_args()

  lengths = question_lengths(arguments.data, arguments.phrasings)
  made = {'inputs': len(lengths), 'mean_tokens': sum(lengths) / len(lengths)}
  print(f'{len(lengths)} inputs, {made["mean_tokens"]:.0f} tokens on average')
  print('| batches | padding | shapes |\n|---|---|---|')
  made['padding'] = paddings(lengths)
  for name, share, shapes in made['padding']:
    print(f'| {name} | {share:.1%} | {shapes or "as many as lengths"} |')
  print(f'\n| {arguments.size}, {arguments.tokens} tokens | GFLOP a question | floor | ratio |\n|---|---|---|---|')
  made['programs'] = programs(arguments.size, arguments.tokens, arguments.rows)
  for name, used, needed in made['programs']:
    print(f'| {name} | {used / 1e9:.2f} | {needed / 1e9:.2f} | {used / needed:.2f} |')
  if arguments.out:
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(made, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
