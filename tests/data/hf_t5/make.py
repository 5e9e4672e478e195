"""Makes the reference weights and logits in this folder with Hugging Face transformers.

  pip install torch transformers
  python tests/data/hf_t5/make.py

Two tiny models with random weights: T5.1.1 (gated GELU, separate output layer) and T5 1.0 (ReLU, tied output layer).
`reference.npz` of each holds padded inputs, encoder states, teacher-forced logits, and greedy outputs with the logits
of each cached decoding step.
"""

import os
import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
KINDS = {
  'v1_1': {'feed_forward_proj': 'gated-gelu', 'tie_word_embeddings': False},
  'v1_0': {'feed_forward_proj': 'relu', 'tie_word_embeddings': True},
}
STEPS = 7


def main():
  for kind, fields in KINDS.items():
    torch.manual_seed(0)
    config = transformers.T5Config(
      vocab_size=96,
      d_model=24,
      d_kv=8,
      d_ff=40,
      num_heads=3,
      num_layers=2,
      num_decoder_layers=3,
      relative_attention_num_buckets=8,
      relative_attention_max_distance=20,
      decoder_start_token_id=0,
      **fields,
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    if not fields['tie_word_embeddings']:
      model.lm_head.weight = torch.nn.Parameter(torch.empty(96, 24))
    with torch.no_grad():
      for parameter in model.parameters():
        # Larger than at initialisation, so that every term shows in the logits.
        parameter.copy_(torch.randn_like(parameter) * 0.15 + (parameter.ndim == 1))
    directory = HERE / kind
    model.save_pretrained(directory, safe_serialization=True)
    (directory / 'generation_config.json').unlink(missing_ok=True)

    rng = np.random.default_rng(0)
    inputs = rng.integers(2, 96, (4, 30))
    for row, length in enumerate((30, 17, 5, 1)):
      inputs[row, length:] = 0
    decoder_inputs = np.concatenate([np.zeros((4, 1), int), rng.integers(2, 96, (4, 8))], axis=1)
    with torch.no_grad():
      tokens = torch.from_numpy(inputs)
      mask = (tokens > 0).long()
      encoded = model.encoder(tokens, attention_mask=mask).last_hidden_state
      logits = model(tokens, attention_mask=mask, decoder_input_ids=torch.from_numpy(decoder_inputs)).logits
      step_logits, outputs, cache = [], [], None
      token = torch.zeros((4, 1), dtype=torch.long)
      for _ in range(STEPS):
        out = model(
          encoder_outputs=(encoded,),
          attention_mask=mask,
          decoder_input_ids=token,
          past_key_values=cache,
          use_cache=True,
        )
        cache = out.past_key_values
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        step_logits.append(out.logits[:, -1].numpy())
        outputs.append(token[:, 0].numpy())
    np.savez_compressed(
      directory / 'reference.npz',
      inputs=inputs.astype(np.int32),
      decoder_inputs=decoder_inputs.astype(np.int32),
      encoded=encoded.numpy(),
      logits=logits.numpy(),
      step_logits=np.stack(step_logits, 1),
      greedy=np.stack(outputs, 1).astype(np.int32),
    )
    print(kind, os.path.getsize(directory / 'model.safetensors'), logits.std().item())


if __name__ == '__main__':
  main()
