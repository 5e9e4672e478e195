"""Makes the references in this folder: adapters saved by PEFT, and the logits of Hugging Face's models with them.

  pip install torch transformers peft
  python tests/data/peft/make.py

(made with torch 2.13.0, transformers 5.24.0 and peft 0.21.2). The models are those of `hf_t5` and `hf_llama` beside this folder;
the adapters are random. `logits.npy` of each are of the inputs and answers of the model's `reference.npz`, as there.
"""

import json
import pathlib

import numpy as np
import peft
import torch
import transformers

HERE = pathlib.Path(__file__).parent
ROWS = slice(0, None, 2)  # the first and the third, a shorter one
LENGTH = 3
PROMPT, PREFIX = peft.PromptTuningConfig, peft.PrefixTuningConfig
# Several ranks and scales, and a layer without additions.
PATTERNS = {
  'r': 2,
  'lora_alpha': 3,
  'target_modules': ['q_proj', 'v_proj', 'down_proj'],
  'rank_pattern': {'q_proj': 3},
  'alpha_pattern': {'down_proj': 5},
  'use_rslora': True,
  'layers_to_transform': [1],
}
# Name -> (model, settings of the model, adapter, its settings).
KINDS = {
  't5_prompt': ('hf_t5/v1_1', {}, PROMPT, {'num_virtual_tokens': LENGTH}),
  't5_lora': ('hf_t5/v1_1', {}, peft.LoraConfig, {'r': 2, 'lora_alpha': 5, 'target_modules': 'all-linear'}),
  't5_lora_ungated': ('hf_t5/v1_0', {}, peft.LoraConfig, {'r': 1, 'target_modules': ['q', 'wi']}),
  # PEFT gives each layer pairs by a rule that differs for even and for odd numbers of layers.
  't5_prefix': ('hf_t5/v1_1', {}, PREFIX, {'num_virtual_tokens': LENGTH, 'num_layers': 3}),
  't5_prefix_even': ('hf_t5/v1_1', {'num_decoder_layers': 2}, PREFIX, {'num_virtual_tokens': LENGTH}),
  'llama_prompt': ('hf_llama/llama', {}, PROMPT, {'num_virtual_tokens': LENGTH}),
  'llama_lora': ('hf_llama/llama', {}, peft.LoraConfig, {'r': 2, 'lora_alpha': 6, 'target_modules': 'all-linear'}),
  'llama_prefix': ('hf_llama/llama', {}, PREFIX, {'num_virtual_tokens': LENGTH}),
  'qwen2_lora': ('hf_llama/qwen2', {}, peft.LoraConfig, PATTERNS),
  'mistral_prefix': ('hf_llama/mistral', {}, PREFIX, {'num_virtual_tokens': LENGTH}),
}  # fmt: skip


def main():
  for kind, (backbone, fields, adapter, settings) in KINDS.items():
    torch.manual_seed(0)
    t5 = backbone.startswith('hf_t5')
    family = transformers.T5ForConditionalGeneration if t5 else transformers.AutoModelForCausalLM
    model = family.from_pretrained(HERE.parent / backbone, **fields)
    task = peft.TaskType.SEQ_2_SEQ_LM if t5 else peft.TaskType.CAUSAL_LM
    model = peft.get_peft_model(model, adapter(task_type=task, **settings)).eval()
    with torch.no_grad():
      for parameter in model.parameters():
        if parameter.requires_grad:
          # Factors of a LoRA are multiplied; much more, and rounding shows in T5's unscaled attention.
          parameter.copy_(torch.randn_like(parameter) * (0.15 if adapter is peft.LoraConfig else 0.3))
    save(model, HERE / kind)
    reference = np.load(HERE.parent / backbone / 'reference.npz')
    logits = logits_of_t5(model, reference) if t5 else logits_of_decoder(model, reference)
    np.save(HERE / kind / 'logits.npy', logits)


def save(model, directory):
  """Saves an adapter, without the path of the machine that made it."""
  model.save_pretrained(directory)
  (directory / 'README.md').unlink(missing_ok=True)
  path = directory / 'adapter_config.json'
  fields = json.loads(path.read_text()) | {'base_model_name_or_path': None}
  for name, value in fields.items():
    if name == 'target_modules':
      fields[name] = sorted(value)  # a set, of another order in each process
  path.write_text(json.dumps(fields, indent=2) + '\n')


def logits_of_t5(model, reference):
  """Logits of the answers of all rows together."""
  inputs, answers = (torch.tensor(reference[name][ROWS]).long() for name in ('inputs', 'decoder_inputs'))
  with torch.no_grad():
    out = model(input_ids=inputs, attention_mask=(inputs > 0).long(), decoder_input_ids=answers)
  return out.logits.numpy()


def logits_of_decoder(model, reference):
  """Logits that precede each token of the answers, every row by itself, without padding."""
  logits = []
  for tokens, answer in zip(reference['inputs'][ROWS], reference['answers'][ROWS], strict=True):
    tokens = tokens[tokens > 0]
    text = torch.from_numpy(np.concatenate([tokens, answer[:-1]])).long()[None]
    with torch.no_grad():
      logits.append(model(input_ids=text, attention_mask=torch.ones_like(text)).logits[0, -len(answer) :].numpy())
  return np.stack(logits)


if __name__ == '__main__':
  main()
