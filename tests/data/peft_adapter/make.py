"""Makes the reference: a prompt tuning saved by PEFT, and the logits of Hugging Face's T5 with it.

python tests/data/peft_prompt/make.py, with torch, transformers and peft (made with 2.13.0, 5.24.0 and 0.21.2).
"""

import json
import pathlib

import numpy as np
import peft
import torch
import transformers

HERE = pathlib.Path(__file__).parent
BACKBONE = HERE.parent / 'hf_t5' / 'v1_1'


def main():
  """Writes adapter_config.json, adapter_model.safetensors and logits.npy."""
  torch.manual_seed(0)
  backbone = transformers.T5ForConditionalGeneration.from_pretrained(BACKBONE)
  config = peft.PromptTuningConfig(
    task_type=peft.TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=4, num_transformer_submodules=1
  )
  model = peft.get_peft_model(backbone, config).eval()
  model.save_pretrained(HERE)
  (HERE / 'README.md').unlink(missing_ok=True)
  path = HERE / 'adapter_config.json'
  fields = json.loads(path.read_text()) | {'base_model_name_or_path': None}  # no path of the machine that made it
  path.write_text(json.dumps(fields, indent=2) + '\n')
  reference = np.load(BACKBONE / 'reference.npz')
  inputs = torch.tensor(reference['inputs']).long()
  with torch.no_grad():
    out = model(
      input_ids=inputs,
      attention_mask=(inputs > 0).long(),
      decoder_input_ids=torch.tensor(reference['decoder_inputs']).long(),
    )
  np.save(HERE / 'logits.npy', out.logits.numpy())


if __name__ == '__main__':
  main()
