"""One command for a GPU: how fast alignment and evaluation run on it, and against PEFT and transformers where they are installed.

  python benchmarks/gpu.py --out out/gpu.json [--peer-python PYTHON_WITH_TORCH_TRANSFORMERS_AND_PEFT]
  JAX_PLATFORMS=cpu python benchmarks/gpu.py --out out/gpu.json --tiny      # tries it out, anywhere

Shapes of Flan-T5-XL and Llama-3.1-8B with random weights in bfloat16. A step is LoRA of rank 8 on queries and values, 8 examples under 4
phrasings of 256 tokens, KL to the canonical one, activations recomputed. An evaluation ranks 4 options of 2 tokens behind 64 inputs of
512. Peers have no alignment objective: PEFT trains on likelihood over as many rows, with gradient checkpointing; transformers scores
every option in a row of its own, as its users do.

Each contestant is a process of its own, so that one frees the memory for the next. It runs once to compile and to warm up, then as
often as --runs says. Reported are the median, least and greatest seconds, the model FLOPs utilisation (arithmetic that is needed, by
training/arithmetic.py, over the time and the device's peak; Chowdhery et al. 2022, appendix B) and the peak memory. What is done is not
done again.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time
import typing

MODELS = {'flan_t5_xl': ('t5_1_1', 'xl'), 'llama_8b': ('llama_3_1', '8b')}


class Sizes(typing.NamedTuple):
  """Of a training step, and of an evaluation."""

  examples: int = 8
  phrasings: int = 4
  inputs: int = 256
  targets: int = 16
  rows: int = 64
  length: int = 512
  options: int = 4
  option_tokens: int = 2


MICROBATCHES = 4
# Dense bfloat16 operations in a second, of the makers' data sheets.
PEAKS = {'H100': 989e12, 'H200': 989e12, 'A100': 312e12, 'L40S': 362e12, 'L4': 121e12}
CONTESTANTS = ('ours step', 'peft step', 'ours evaluation', 'transformers evaluation')


def sizes(tiny):
  """What is run."""
  return Sizes(4, 2, 16, 4, 8, 24) if tiny else Sizes()


def shape(name, tiny):
  """The network's configuration; with `tiny` a few thousand parameters of the same kind."""
  import dataclasses

  from robust_t5x.models import families

  config = families.config(*MODELS[name], 'float32' if tiny else 'bfloat16', remat=True)
  if not tiny:
    return config
  layers = ('num_encoder_layers', 'num_decoder_layers') if hasattr(config, 'num_encoder_layers') else ('num_layers',)
  heads = {'num_kv_heads': 2} if name == 'llama_8b' else {}
  small = {'vocab_size': 96, 'emb_dim': 32, 'num_heads': 4, 'head_dim': 8, 'mlp_dim': 48}
  return dataclasses.replace(config, **small, **heads, **dict.fromkeys(layers, 2))


def ours(name, kind, tiny):
  """(a function that runs it once, operations that it needs)."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from robust_t5x import adapters, objectives
  from robust_t5x.models import robust, trainable
  from robust_t5x.runtime import partitioning
  from robust_t5x.training import arithmetic, optimizers
  from robust_t5x.training import step as step_lib

  class Vocabulary:
    pad_id, eos_id = 0, 1

  n = sizes(tiny)
  config = shape(name, tiny)
  adapter = adapters.AdapterConfig(lora_rank=8 if kind == 'step' else 0)
  model = robust.RobustModel(
    config.network(adapter), Vocabulary, Vocabulary, optimizers.adamw(1e-4), objectives.kl_to_canonical
  )
  shapes, _ = model.variable_shapes()
  dtype = jnp.dtype(config.dtype)

  @jax.jit
  def make(key):
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(key, len(leaves))
    return tree.unflatten([0.02 * jax.random.normal(k, x.shape, dtype) for k, x in zip(keys, leaves, strict=True)])

  params = make(jax.random.key(0))
  rng = np.random.default_rng(0)

  def tokens(*size):
    return rng.integers(2, config.vocab_size, size).astype(np.int32)

  if kind == 'evaluation':
    score, inputs, options = (
      model.compiled_score(),
      tokens(n.rows, n.length),
      tokens(n.rows, n.options, n.option_tokens),
    )
    fed = 1 + n.options * (n.option_tokens - 1)
    needed = n.rows * arithmetic.floor(config, adapter, shapes, n.length, fed).forward
    return (lambda: jax.block_until_ready(score(params, inputs, options))), needed
  params['adapter'] = jax.tree.map(lambda x: x.astype(jnp.float32), params['adapter'])
  moving, frozen = trainable.Trainable().split(params)
  state = step_lib.initial_state(moving, model.optimizer_def)
  step = step_lib.compiled_step(model, partitioning.make_mesh(devices=jax.devices()[:1]), MICROBATCHES)
  targets = tokens(n.examples, n.targets)
  batch = {
    'encoder_input_tokens': tokens(n.examples, n.phrasings, n.inputs),
    'decoder_target_tokens': targets,
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
    'decoder_loss_weights': np.ones_like(targets),
  }

  def run():
    nonlocal state
    state, _ = jax.block_until_ready(step(state, frozen, batch))

  return run, arithmetic.floor(config, adapter, shapes, n.inputs, n.targets).step(n.examples, n.phrasings)


def peer(name, kind, tiny):
  """Likewise, of PEFT's LoRA or of transformers' forward pass; what it needs is as ours, and is left to the caller."""
  import torch
  import transformers

  n = sizes(tiny)
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  dtype = torch.float32 if tiny else torch.bfloat16
  decoder = name == 'llama_8b'
  widths = (
    {'vocab_size': 96, 'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2, 'num_attention_heads': 4}
    if tiny
    else {'vocab_size': 128256, 'hidden_size': 4096, 'intermediate_size': 14336, 'num_hidden_layers': 32, 'num_attention_heads': 32}
  )  # fmt: skip
  if decoder:
    config = transformers.LlamaConfig(num_key_value_heads=2 if tiny else 8, **widths)
  elif tiny:
    config = transformers.T5Config(
      vocab_size=96, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj='gated-gelu'
    )
  else:
    config = transformers.T5Config(vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32,
                                   feed_forward_proj='gated-gelu', tie_word_embeddings=False, decoder_start_token_id=0)  # fmt: skip
  kinds = transformers.AutoModelForCausalLM if decoder else transformers.AutoModelForSeq2SeqLM
  with torch.device(device):
    model = kinds.from_config(config, dtype=dtype)

  def tokens(*size):
    return torch.randint(2, config.vocab_size, size, device=device)

  wait = torch.cuda.synchronize if device == 'cuda' else (lambda: None)
  rows = n.examples * n.phrasings if kind == 'step' else n.rows * n.options
  length, answer = (n.inputs, n.targets) if kind == 'step' else (n.length, n.option_tokens)
  inputs, labels = tokens(rows, length), tokens(rows, answer)
  if decoder:
    inputs = torch.cat([inputs, labels], dim=1)
    labels = torch.cat([torch.full((rows, length), -100, device=device), labels], dim=1)
  if kind == 'evaluation':
    model.eval()

    @torch.no_grad()
    def run():
      for i in range(0, rows, n.rows):
        model(input_ids=inputs[i : i + n.rows], labels=labels[i : i + n.rows])
      wait()

    return run, None
  import peft

  names = ['q_proj', 'v_proj'] if decoder else ['q', 'v']
  model = peft.get_peft_model(model, peft.LoraConfig(r=8, lora_alpha=8, target_modules=names))
  model.gradient_checkpointing_enable()
  model.enable_input_require_grads()
  optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)

  def run():
    optimizer.zero_grad()
    for part, wanted in zip(inputs.chunk(MICROBATCHES), labels.chunk(MICROBATCHES), strict=True):
      (model(input_ids=part, labels=wanted).loss / MICROBATCHES).backward()
    optimizer.step()
    wait()

  return run, None


def one(contestant, name, runs, tiny):
  """Runs a contestant in this process and returns its line."""
  who, kind = contestant.split()
  run, needed = (ours if who == 'ours' else peer)(name, kind, tiny)
  run()
  seconds = []
  for _ in range(runs):
    began = time.perf_counter()
    run()
    seconds.append(time.perf_counter() - began)
  if who == 'ours':
    import jax

    device = jax.devices()[0]
    memory, device = (device.memory_stats() or {}).get('peak_bytes_in_use'), device.device_kind
  else:
    import torch

    cuda = torch.cuda.is_available()
    memory, device = (torch.cuda.max_memory_allocated(), torch.cuda.get_device_name()) if cuda else (None, 'cpu')
  line = {'model': name, 'contestant': contestant, 'device': device, 'tiny': tiny, 'memory_bytes': memory}
  return line | {
    'seconds': statistics.median(seconds), 'least': min(seconds), 'greatest': max(seconds), 'needed_flops': needed
  }  # fmt: skip


def table(lines):
  """Markdown; a peer's utilisation is of the arithmetic that ours needs for the same task."""
  rows = ['| model | what | seconds | spread | utilisation | GiB | device |', '|---|---|---|---|---|---|---|']
  needed = {(x['model'], x['contestant'].split()[1]): x['needed_flops'] for x in lines if x.get('needed_flops')}
  for x in lines:
    if 'error' in x:
      rows.append(f'| {x["model"]} | {x["contestant"]} | {x["error"]} | | | | |')
      continue
    peak = next((flops for name, flops in PEAKS.items() if name in x['device'].replace(' ', '')), None)
    flops = needed.get((x['model'], x['contestant'].split()[1]))
    share = f'{100 * flops / x["seconds"] / peak:.0f}%' if peak and flops else ''
    memory = f'{x["memory_bytes"] / 2**30:.1f}' if x['memory_bytes'] else ''
    spread = f'{x["least"]:.3f}–{x["greatest"]:.3f}'
    rows.append(
      f'| {x["model"]} | {x["contestant"]} | {x["seconds"]:.3f} | {spread} | {share} | {memory} | {x["device"]} |'
    )
  return '\n'.join(rows)


def main():
  """Runs what is not there yet, each in a process of its own, and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--out', type=pathlib.Path, required=True)
  parser.add_argument(
    '--peer-python', help='an interpreter with torch, transformers and peft; without it peers are left out'
  )
  parser.add_argument('--runs', type=int, default=10)
  parser.add_argument('--tiny', action='store_true', help='shapes for any machine, to try the benchmark itself')
  parser.add_argument('--one', nargs=2, metavar=('CONTESTANT', 'MODEL'), help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.one:
    print(json.dumps(one(*arguments.one, arguments.runs, arguments.tiny)))
    return
  arguments.out.parent.mkdir(parents=True, exist_ok=True)
  lines = json.loads(arguments.out.read_text(encoding='utf-8')) if arguments.out.exists() else []
  for name in MODELS:
    for contestant in CONTESTANTS:
      mine = contestant.startswith('ours')
      done = any((x['model'], x['contestant'], x['tiny']) == (name, contestant, arguments.tiny) for x in lines)
      if done or not (mine or arguments.peer_python):
        continue
      python = sys.executable if mine else arguments.peer_python
      flags = ['--out', '-', '--runs', str(arguments.runs), *(['--tiny'] if arguments.tiny else [])]
      ended = subprocess.run(
        [python, __file__, *flags, '--one', contestant, name], capture_output=True, text=True, check=False
      )
      said = (ended.stderr.strip().splitlines() or ['nothing'])[-1]
      failed = {'model': name, 'contestant': contestant, 'tiny': arguments.tiny, 'error': f'failed: {said[:120]}'}
      lines.append(failed if ended.returncode else json.loads(ended.stdout.splitlines()[-1]))
      arguments.out.write_text(json.dumps(lines, indent=2) + '\n', encoding='utf-8')
      print(f'{name}, {contestant}: {lines[-1].get("seconds", said)}', file=sys.stderr, flush=True)
  print(table(lines))
  if any('error' in x for x in lines):
    sys.exit(1)


if __name__ == '__main__':
  main()
