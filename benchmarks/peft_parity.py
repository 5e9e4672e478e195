"""Our adapters in PEFT and our merged weights in transformers: the largest difference of logits, on tiny random models.

  pip install torch transformers peft
  python benchmarks/peft_parity.py

For each model of tests/data/hf_t5 and tests/data/hf_llama and each kind of adapter that PEFT has a place for: random values, written
by `robust-t5x convert --to peft`, loaded by PEFT, and run there; LoRA also merged, by `robust-t5x convert --to huggingface --adapter`.
Prints a table in Markdown; the exit status is 1 if a difference is above 1e-4.
"""

import dataclasses
import json
import pathlib
import sys
import tempfile

import numpy as np
import peft
import torch
import transformers

from robust_t5x import adapters, convert
from robust_t5x.checkpoints import adapter_files, backbones
from robust_t5x.models import protocol, trainable

DATA = pathlib.Path(__file__).parents[1] / 'tests' / 'data'
MODELS = (
  'hf_t5/v1_0',
  'hf_t5/v1_1',
  *(f'hf_llama/{p.parent.name}' for p in sorted(DATA.glob('hf_llama/*/config.json'))),
)
KINDS = {
  'soft prompt': adapters.AdapterConfig(length=3, prompt_position=0),
  'joined prefix': adapters.AdapterConfig(prefix_lengths={'decoder': 3}, prefix_gated=False),
  'LoRA': adapters.AdapterConfig(lora_rank=2),
  'LoRA everywhere': adapters.AdapterConfig(lora_rank=2, lora_projections=adapters.PROJECTIONS),
}
LIMIT = 1e-4


def main() -> int:
  """Returns the exit status."""
  transformers.logging.set_verbosity_error()
  print(
    '| model | adapter | moves logits by | PEFT and ours differ by | merged and ours differ by |\n| --- | --- | --- | --- | --- |'
  )
  worst = 0.0
  for model in MODELS:
    for kind, config in KINDS.items():
      with tempfile.TemporaryDirectory() as directory:
        moved, *differences = compare(str(DATA / model), config, pathlib.Path(directory))
      worst = max(worst, *differences)
      cells = [f'{moved:.2f}', *(f'{x:.1e}' for x in differences), *([] if config.lora_rank else ['–'])]
      print(f'| {model} | {kind} | {" | ".join(cells)} |', flush=True)
  print(f'\nlargest: {worst:.1e}')
  return int(worst > LIMIT)


def compare(backbone: str, config: adapters.AdapterConfig, directory: pathlib.Path) -> list[float]:
  """How far the adapter moves logits, how far PEFT's are from ours, and those of merged weights where there are such."""
  source = backbones.open_backbone(backbone)
  rng = np.random.default_rng(0)
  arrays = {
    name: (0.15 if '_lora_' in name else 0.3) * rng.normal(size=p.shape).astype(np.float32)
    for name, p in adapters.parameters(config, source.config).items()
  }
  file = str(directory / 'adapter.safetensors')
  metadata = {'backbone': {'path': backbone, 'sha256': backbones.backbone_hash(backbone)}, 'prompt_position': 0}
  adapter_files.save(file, arrays, metadata)
  inputs = rng.integers(3, source.config.vocab_size, (2, 6))
  answers = np.pad(rng.integers(3, source.config.vocab_size, (2, 4)), [(0, 0), (1, 0)])
  params = trainable.unflatten({name: source.read(name) for name in source.shapes})
  plain = protocol.logits(source.config.network(), params, inputs, answers, 0)
  network = source.config.network(dataclasses.replace(adapters.config_of(arrays), prompt_position=0))
  ours = protocol.logits(network, {**params, 'adapter': arrays}, inputs, answers, 0)

  convert.convert_adapter(file, str(directory / 'peft'), 'peft')
  theirs = logits(peft.PeftModel.from_pretrained(load(backbone), str(directory / 'peft')), inputs, answers)
  found = [np.abs(ours - plain).max(), np.abs(ours - theirs).max()]
  if config.lora_rank:
    merged = str(directory / 'merged')
    convert.convert_backbone(backbone, merged, 'huggingface', adapter=file)
    found.append(np.abs(ours - logits(load(merged), inputs, answers)).max())
  return [float(x) for x in found]


def load(directory: str):
  """The model of a directory, by transformers."""
  config = json.loads((pathlib.Path(directory) / 'config.json').read_text())
  family = (
    transformers.T5ForConditionalGeneration if config['model_type'] == 't5' else transformers.AutoModelForCausalLM
  )
  return family.from_pretrained(directory, dtype=torch.float32).eval()


def logits(model, inputs: np.ndarray, answers: np.ndarray) -> np.ndarray:
  """What transformers computes of answers, shifted right behind one place, as ours are."""
  tokens, fed = torch.tensor(inputs), torch.tensor(answers)
  with torch.no_grad():
    if model.config.is_encoder_decoder:
      return model(input_ids=tokens, attention_mask=torch.ones_like(tokens), decoder_input_ids=fed).logits.numpy()
    text = torch.cat([tokens, fed[:, 1:]], dim=1)
    return model(input_ids=text, attention_mask=torch.ones_like(text)).logits[:, -fed.shape[1] :].numpy()


if __name__ == '__main__':
  sys.exit(main())
