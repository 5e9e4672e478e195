"""Makes the reference scores in this folder with Hugging Face's `generate`.

  pip install torch transformers
  python tests/data/hf_generate/make.py

The models are those of tests/data/hf_t5. The end token is one that a part of the rows emits early, so that some rows
have ended where their options are read, and others have not. `v1_1.npz` and `v1_0.npz` hold padded inputs, options of
different lengths that close with the end token, that token, and for each option the product of the softmax of each
step's scores at the option's token, over the positions of the row's shortest option.
"""

import pathlib

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
ROWS, OPTIONS, LONGEST = 12, 4, 6


def main():
  for kind in ('v1_1', 'v1_0'):
    model = transformers.T5ForConditionalGeneration.from_pretrained(HERE.parent / 'hf_t5' / kind).eval()
    rng = np.random.default_rng(5)
    inputs = rng.integers(2, 96, (ROWS, 24))
    for row in range(ROWS):
      inputs[row, 2 + 2 * row :] = 0
    greedy = _generate(model, inputs, end=None).sequences[:, 1:5].numpy()
    ends, counts = np.unique(greedy[:, 1], return_counts=True)
    end = int(ends[counts.argmax()])
    options = np.zeros((ROWS, OPTIONS, LONGEST), np.int32)
    for row in range(ROWS):
      for option in range(OPTIONS):
        length = rng.integers(1 + row % 3, LONGEST)
        options[row, option, :length] = rng.integers(2, 96, length)
        if option == 0:
          options[row, option, 0] = greedy[row, 0]
        options[row, option, length] = end
    scores = torch.stack(_generate(model, inputs, end).scores, dim=1).double().softmax(dim=-1).numpy()
    shortest = (options > 0).sum(-1).min(-1)
    assert scores.shape[1] >= shortest.max(), 'all rows have ended; take another seed'
    products = np.ones((ROWS, OPTIONS))
    for row in range(ROWS):
      for option in range(OPTIONS):
        for position in range(shortest[row]):
          products[row, option] *= scores[row, position, options[row, option, position]]
    ended = (greedy == end).any(-1)
    np.savez_compressed(
      HERE / f'{kind}.npz', inputs=inputs.astype(np.int32), options=options, end=end, products=products
    )
    print(kind, f'end token {end}, {ended.sum()} of {ROWS} rows end early, shortest options', shortest)


def _generate(model, inputs, end):
  tokens = torch.from_numpy(inputs)
  # Made here, since the library's own holds as many layers as the encoder has.
  cache = transformers.EncoderDecoderCache(transformers.DynamicCache(), transformers.DynamicCache())
  with torch.no_grad():
    return model.generate(
      tokens, attention_mask=(tokens > 0).long(), max_new_tokens=32, do_sample=False, num_beams=1,
      eos_token_id=end, pad_token_id=0, past_key_values=cache,
      return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip


if __name__ == '__main__':
  main()
