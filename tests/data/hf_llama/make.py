"""Makes the reference weights and logits in this folder with Hugging Face transformers.

  pip install torch transformers
  python tests/data/hf_llama/make.py

A tiny model with random weights for each architecture and each kind of rotary positions. `reference.npz` of each holds
inputs padded at their ends, answers, the logits that precede each token of the answers, and greedy outputs with the logits
of each cached step, every row run by itself.
"""

import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
ROPE = {
  'linear': {'factor': 4.0},
  'dynamic': {'factor': 4.0},
  'llama3': {
    'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0, 'original_max_position_embeddings': 32,
  },
  'yarn': {'factor': 4.0, 'original_max_position_embeddings': 32, 'beta_fast': 4.0, 'beta_slow': 1.0},
}  # fmt: skip
KINDS = {
  'llama': ('Llama', {}),
  **{
    f'llama_{k}': ('Llama', {'rope_parameters': {'rope_type': k, 'rope_theta': 10000.0, **v}}) for k, v in ROPE.items()
  },
  'llama_biases': ('Llama', {'attention_bias': True, 'mlp_bias': True}),
  'smollm2': (
    'Llama',
    {'tie_word_embeddings': True, 'rope_parameters': {'rope_type': 'default', 'rope_theta': 100000.0}},
  ),
  'mistral': ('Mistral', {'sliding_window': 5}),
  'qwen2': ('Qwen2', {}),
  'qwen3': ('Qwen3', {'head_dim': 12}),
  # Windows in the deeper layers alone, heads that all share one pair, and a tied output layer.
  'qwen2_windows': (
    'Qwen2',
    {
      'num_hidden_layers': 3, 'hidden_size': 24, 'num_attention_heads': 3, 'num_key_value_heads': 1, 'tie_word_embeddings': True,
      'use_sliding_window': True, 'sliding_window': 4, 'max_window_layers': 1,
    },
  ),
  # Biases beside norms of queries and keys, heads wider than the model's share, no head shared.
  'qwen3_biases': ('Qwen3', {'head_dim': 14, 'num_attention_heads': 3, 'num_key_value_heads': 3, 'attention_bias': True, 'rms_norm_eps': 1e-2}),
}  # fmt: skip
USUAL = {
  'vocab_size': 96, 'hidden_size': 32, 'intermediate_size': 40, 'num_hidden_layers': 2, 'num_attention_heads': 4,
  'num_key_value_heads': 2, 'max_position_embeddings': 128, 'pad_token_id': 0,
}  # fmt: skip
STEPS = 6


def main():
  for kind, (family, fields) in KINDS.items():
    torch.manual_seed(0)
    settings = {**USUAL, **fields}
    config = getattr(transformers, f'{family}Config')(**settings)
    model = getattr(transformers, f'{family}ForCausalLM')(config).eval().float()
    with torch.no_grad():
      for name, parameter in model.named_parameters():
        # Larger than at initialisation, so that every term shows in the logits.
        parameter.copy_(torch.randn_like(parameter) * 0.15 + (parameter.ndim == 1 and 'norm' in name))
    directory = HERE / kind
    model.save_pretrained(directory, safe_serialization=True)
    (directory / 'generation_config.json').unlink(missing_ok=True)

    rng = np.random.default_rng(0)
    lengths = (20, 13, 5, 1)
    inputs = rng.integers(2, 96, (4, 20))
    answers = rng.integers(2, 96, (4, 7))
    logits, outputs, step_logits = [], [], []
    for row, length in enumerate(lengths):
      inputs[row, length:] = 0
      text = torch.from_numpy(np.concatenate([inputs[row, :length], answers[row, :-1]]))[None]
      with torch.no_grad():
        logits.append(model(text).logits[0, length - 1 :].numpy())
        token, cache, steps = torch.from_numpy(inputs[row : row + 1, :length]), None, []
        for _ in range(STEPS):
          out = model(token, past_key_values=cache, use_cache=True)
          cache, last = out.past_key_values, out.logits[:, -1]
          token = last.argmax(-1, keepdim=True)
          steps.append((token[0, 0].item(), last[0].numpy()))
      outputs.append([token for token, _ in steps])
      step_logits.append(np.stack([x for _, x in steps]))
    np.savez_compressed(
      directory / 'reference.npz',
      inputs=inputs.astype(np.int32),
      answers=answers.astype(np.int32),
      logits=np.stack(logits),
      outputs=np.array(outputs, np.int32),
      step_logits=np.stack(step_logits),
    )


if __name__ == '__main__':
  main()
