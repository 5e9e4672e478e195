"""Times evaluation side by side with two peers, on the same weights and the same MMLU questions, and compares the scores.

  python benchmarks/evaluation_peers.py --data DIR --published PYTHON --t5x PYTHON --out out/evaluation_peers.json

DIR holds mmlu/ and vocab/t5.sentencepiece.model. PYTHON is an interpreter of an environment of its own:
  published  torch, transformers, sentencepiece: InstructionEval's loop, that is Hugging Face `generate` with full
             scores, at most 32 new tokens, batches of 8 in file order padded to the longest
  t5x        T5X (launch/install_t5x.sh): `score_batch` of T5X's own model, a row for each option, in order, padded to
             512 tokens as seqio does, and again in the batches that our own runner makes
Each system is a process that has the tokens, and is told to run in turn, once to warm up and then --rounds times. What is
timed is from tokens to scores, in wall and CPU seconds; a busy machine disturbs the latter less, with --cores 1.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

import peers
from peers import spread

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

LETTERS = ('A', 'B', 'C', 'D')
LONGEST = 512
BLOCK = 8  # questions of a batch of the published loop


def prepare(directory, data, weights, items, phrasings):
  """Writes weights (random T5.1.1-small, or the bundled mini model), tokens and options."""
  import shutil

  import jax
  import numpy as np

  from robust_t5x.checkpoints import backbones, huggingface, vocabularies
  from robust_t5x.models import families, t5
  from seqio_tasks import datasets
  from seqio_tasks.bank import reading

  directory, data = pathlib.Path(directory), pathlib.Path(data)
  if weights == 'mini':
    shutil.copytree(backbones.bundled_path(), directory / 'model')
  else:
    config = families.config('t5_1_1', weights)
    tokens = np.ones((1, 4), np.int32)
    params = jax.jit(t5.Transformer(config).init)(jax.random.key(0), *[tokens] * 3)['params']
    huggingface.save(str(directory / 'model'), config, params)
    shutil.copyfile(data / 'vocab' / 't5.sentencepiece.model', directory / 'model' / 'spiece.model')
  vocabulary = vocabularies.vocabulary(None, checkpoint=str(directory / 'model'))
  questions = datasets.mmlu(data / 'mmlu')[-1].splits['test']()
  bank = reading.read_banks(['package'])
  layouts = [i.layout for i in bank.select('multiple_choice', collections=['general_evaluation'])]
  layouts = [layout for layout in layouts if layout.template and '{options}' in layout.template][:phrasings]
  # Whole blocks in file order, since neighbours are of like length, from all over the file; each under one phrasing.
  texts = []
  for n in range(-(-items // BLOCK)):
    first = n * BLOCK * max(1, len(questions) // items)
    layout = layouts[n % len(layouts)]
    texts += [layout.render(datasets.item_of(q)).input_text for q in questions[first : first + BLOCK]]
  inputs = [vocabulary.encode(text)[: LONGEST - 1] + [vocabulary.eos_id] for text in texts]
  options = [vocabulary.encode(letter) + [vocabulary.eos_id] for letter in LETTERS]
  (directory / 'items.json').write_text(json.dumps({'inputs': inputs, 'options': options}), encoding='utf-8')


def ours(directory, items, scorer):
  """A function that scores all items with our runner."""
  import numpy as np

  from robust_t5x.checkpoints import loading
  from robust_t5x.models import runner as runner_lib

  model, params = loading.load(f'{directory}/model')
  runner = runner_lib.Runner(model, params, batch_size=16, max_input=LONGEST)
  inputs = [np.asarray(x, np.int32) for x in items['inputs']]
  score = runner.score if scorer == 'rank_likelihood' else runner.score_free_running
  return lambda: np.stack(score(inputs, [LETTERS] * len(inputs)))


def published(directory, items, rows=BLOCK):
  """The published loop, written anew: logs of the products, and nothing of the text."""
  import numpy as np
  import torch
  import transformers

  model = transformers.T5ForConditionalGeneration.from_pretrained(f'{directory}/model', dtype=torch.float32).eval()
  options = items['options']
  shortest = min(map(len, options))

  def run():
    found = []
    for start in range(0, len(items['inputs']), rows):
      batch = items['inputs'][start : start + rows]
      tokens = torch.zeros((len(batch), max(map(len, batch))), dtype=torch.long)
      for i, ids in enumerate(batch):
        tokens[i, : len(ids)] = torch.tensor(ids)
      with torch.no_grad():
        out = model.generate(
          input_ids=tokens, attention_mask=(tokens > 0).long(), max_new_tokens=32, do_sample=False, num_beams=1,
          return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
      probabilities = torch.stack(out.scores, dim=1).softmax(dim=-1)
      product = torch.ones((len(batch), len(options)))
      for k in range(min(shortest, probabilities.shape[1])):
        product *= probabilities[:, k, [o[k] for o in options]]
      found.append(product)
    return np.log(np.maximum(torch.cat(found).numpy(), 1e-45))

  return run


def t5x(directory, items, batches, rows=32):
  """T5X's score_batch on a row for each option: 'fixed' in order at 512 tokens, 'planned' in our runner's batches."""
  import jax
  import numpy as np
  import seqio
  from t5x import models
  from t5x.examples.t5 import network

  from robust_t5x.checkpoints import hf_config, huggingface
  from robust_t5x.models import batching, trainable

  config = hf_config.load_config(f'{directory}/model')
  module = network.Transformer(
    network.T5Config(
      vocab_size=config.vocab_size, dtype='float32', emb_dim=config.emb_dim, num_heads=config.num_heads,
      num_encoder_layers=config.num_encoder_layers, num_decoder_layers=config.num_decoder_layers,
      head_dim=config.head_dim, mlp_dim=config.mlp_dim, mlp_activations=tuple(config.mlp_activations), dropout_rate=0.0,
      logits_via_embedding=config.logits_via_embedding,
    )
  )  # fmt: skip
  vocabulary = seqio.PassThroughVocabulary(config.vocab_size)
  model = models.EncoderDecoderModel(module, vocabulary, vocabulary, optimizer_def=None)
  source = huggingface.HuggingFaceBackbone(f'{directory}/model')
  params = jax.device_put(trainable.unflatten({name: source.read(name) for name in source.shapes}))
  score = jax.jit(model.score_batch)
  options = np.zeros((len(LETTERS), max(map(len, items['options']))), np.int32)
  for i, ids in enumerate(items['options']):
    options[i, : len(ids)] = ids
  inputs, per_batch = items['inputs'], rows // len(options)

  def run():
    if batches == 'planned':
      # As many tokens to a batch as in ours, four rows to a question.
      plan = [(b.members, b.rows, b.length) for b in batching.plan_batches([len(x) for x in inputs], 4, LONGEST)]
    else:
      plan = [
        (np.arange(i, min(i + per_batch, len(inputs))), per_batch, LONGEST) for i in range(0, len(inputs), per_batch)
      ]
    found = np.zeros((len(inputs), len(options)), np.float32)
    for members, questions, length in plan:
      tokens = np.zeros((questions, length), np.int32)
      for row, i in enumerate(members):
        tokens[row, : len(inputs[i])] = inputs[i]
      targets = np.tile(options, (questions, 1))
      batch = {
        'encoder_input_tokens': np.repeat(tokens, len(options), axis=0),
        'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
        'decoder_target_tokens': targets,
        'decoder_loss_weights': (targets > 0).astype(np.int32),
      }
      scores = np.asarray(score(params, batch)).reshape(questions, -1)
      found[members] = scores[: len(members)]
    return found

  return run


SYSTEMS = {
  'ours_paper': ('own', lambda d, i: ours(d, i, 'paper_logits')),
  'published': ('published', published),
  'ours_rank': ('own', lambda d, i: ours(d, i, 'rank_likelihood')),
  't5x_planned': ('t5x', lambda d, i: t5x(d, i, 'planned')),
  't5x_fixed': ('t5x', lambda d, i: t5x(d, i, 'fixed')),
}
PAIRS = (('published', 'ours_paper'), ('t5x_fixed', 'ours_rank'), ('t5x_planned', 'ours_rank'))


def make(directory):
  """What a process answers with: the scores of a system on a number of items, which the line names."""
  items = json.loads(pathlib.Path(directory, 'items.json').read_text(encoding='utf-8'))
  runs = {}

  def answer(line):
    name, count = line.split()
    if name not in runs:
      blocks = [items['inputs'][i : i + BLOCK] for i in range(0, len(items['inputs']), BLOCK)]
      chosen = blocks[:: max(1, len(blocks) * BLOCK // int(count))]
      runs[name] = SYSTEMS[name][1](directory, {**items, 'inputs': sum(chosen, [])[: int(count)]})
    turn = peers.timed(runs[name])
    return {**turn, 'found': turn['found'].tolist()}

  return answer


def compare(a, b):
  """Share of the same predictions, and the greatest difference of two scores of an option."""
  same = sum(x.index(max(x)) == y.index(max(y)) for x, y in zip(a, b, strict=True)) / len(a)
  return same, max(abs(x - y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True))


def summarise(taken, counts):
  """Prints the table, of all rounds but the first; returns its numbers."""
  seconds = {name: {k: spread([r[k] for r in runs[1:]]) for k in ('wall', 'cpu')} for name, runs in taken.items()}
  made = {
    'items': counts,
    'first': {name: runs[0]['wall'] for name, runs in taken.items()},
    'seconds': seconds,
    'pairs': {},
  }
  print(
    '| peer | ours | items | peer, CPU s | ours, CPU s | ratio, wall | ratio, CPU | same predictions | difference |'
  )
  print('|---|---|---|---|---|---|---|---|---|')
  for peer, own in PAIRS:
    if peer not in taken or own not in taken:
      continue
    ratios = peers.ratios(taken[peer][1:], taken[own][1:])
    same, difference = compare(taken[peer][-1]['found'], taken[own][-1]['found'])
    made['pairs'][f'{peer}/{own}'] = {'ratio': ratios, 'same_predictions': same, 'greatest_difference': difference}
    cells = [f'{seconds[name]["cpu"]["median"]:.1f}' for name in (peer, own)]
    cells += [f'{r["median"]:.1f} ({r["min"]:.1f} to {r["max"]:.1f})' for r in ratios.values()]
    print(f'| {peer} | {own} | {counts[peer]} | {" | ".join(cells)} | {same:.1%} | {difference:.1e} |')
  return made


def main():
  """Prepares, runs the systems in turn, prints a table and writes JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
  parser.add_argument('--data', required=True, metavar='DIR')
  parser.add_argument('--published', metavar='PYTHON')
  parser.add_argument('--t5x', metavar='PYTHON')
  parser.add_argument('--weights', default='small', help='small to xxl: a random T5.1.1; mini: the bundled model')
  parser.add_argument('--items', type=int, default=256)
  parser.add_argument('--t5x_items', type=int, default=64, help='of them, for T5X and what is compared with it')
  parser.add_argument('--phrasings', type=int, default=4)
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument(
    '--cores', type=int, default=0, help='of each system; 1 on a busy machine, where threads wait for each other'
  )
  parser.add_argument('--systems', default=','.join(SYSTEMS), help='which of the systems run')
  parser.add_argument(
    '--prepared', metavar='DIR', help='keeps weights, tokens and compiled programs here, and takes those that are here'
  )
  parser.add_argument('--out', metavar='FILE')
  arguments = parser.parse_args()
  if arguments.worker:
    peers.serve(lambda: make(arguments.data), arguments.cores)
    return
  pythons = {'own': sys.executable, 'published': arguments.published, 't5x': arguments.t5x}
  counts = {
    name: arguments.items if 'paper' in name or name == 'published' else arguments.t5x_items for name in SYSTEMS
  }
  with tempfile.TemporaryDirectory() as temporary:
    directory = arguments.prepared or temporary
    if not os.path.exists(os.path.join(directory, 'items.json')):
      os.makedirs(directory, exist_ok=True)
      prepare(directory, arguments.data, arguments.weights, arguments.items, arguments.phrasings)
    items = json.loads(pathlib.Path(directory, 'items.json').read_text(encoding='utf-8'))
    lengths = [len(x) for x in items['inputs']]
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', os.path.join(directory, 'compiled'))
    chosen = [name for name in arguments.systems.split(',') if pythons[SYSTEMS[name][0]]]
    command = ['--worker', '--data', directory, '--cores', arguments.cores]
    systems = {kind: peers.Peer(pythons[kind], command) for kind in {SYSTEMS[name][0] for name in chosen}}

    def start(name):
      systems[SYSTEMS[name][0]].tell(f'{name} {counts[name]}')

    def finish(name):
      reply = systems[SYSTEMS[name][0]].answer()
      taken[name].append(reply)
      print(f'{name}, {counts[name]} items: {reply["wall"]:.2f} s, {reply["cpu"]:.2f} CPU s', file=sys.stderr)

    taken = {name: [] for name in chosen}
    with peers.closing(systems):
      for name in chosen:  # warming up: imports and compilation, all at once
        start(name)
      for name in chosen:
        finish(name)
      for n in range(arguments.rounds):
        for name in chosen if n % 2 else chosen[::-1]:
          start(name)
          finish(name)
  made = {'weights': arguments.weights, 'cores': arguments.cores, 'mean_tokens': statistics.mean(lengths)}
  made |= summarise(taken, counts)
  peers.write(arguments.out, made)


if __name__ == '__main__':
  main()
