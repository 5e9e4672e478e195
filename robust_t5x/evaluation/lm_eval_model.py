"""The model `robust_t5x` of lm-evaluation-harness: any checkpoint of ours, with or without an adapter.

It needs the extra `lm-eval`; `robust-t5x harness` imports it. A context is read as `robust-t5x eval` reads a text: with the
end token of a T5, within a chat model's own template. So tasks that `robust-t5x tasks export` wrote get the same predictions
from both.
"""

import collections
from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
import numpy as np

from robust_t5x.checkpoints import chat_templates, loading
from robust_t5x.models.runner import Runner
from robust_t5x.runtime import progress, quiet
from robust_t5x.runtime.errors import UsageError
from seqio_tasks import framing

NAME = 'robust_t5x'
_MAX_OUTPUT = 256  # tokens of an output where a task does not say, as in the harness's own models
_WINDOW = 2048  # tokens that `loglikelihood_rolling` looks at together


@register_model(NAME)
class RobustLM(LM):
  """One of our models as the harness calls it."""

  def __init__(
    self,
    pretrained: str,
    adapter: str | None = None,
    dtype: str = 'float32',
    vocabulary: str | None = None,
    chat_template: str | None = chat_templates.OWN,
    system_message: str | None = chat_templates.OWN,
    batch_size: int | str = 1,
    max_batch_size: int | None = None,
    device: str | None = None,
  ):
    """Loads the model.

    Args:
      pretrained: a checkpoint in any format that we read, 'bundled' or 'smollm2'; the name is the harness's.
      adapter: an adapter file, or 'bundled'.
      dtype: 'float32' or 'bfloat16'.
      vocabulary: see checkpoints.load.
      chat_template: see checkpoints.load; None for 'none', as which the harness reads that word.
      system_message: see checkpoints.load; likewise.
      batch_size: rows of a batch of the longest inputs.
      max_batch_size: ignored; it is of the harness's automatic batch size.
      device: ignored; JAX chooses.

    Raises:
      UserError: if an argument cannot be used, or the model cannot be loaded.
    """
    super().__init__()
    if not str(batch_size).isdecimal() or int(batch_size) < 1:
      raise UsageError(f'--batch_size is {batch_size}; give a number of rows, such as 64')
    del max_batch_size, device  # the harness always gives them
    quiet.set_up()
    loaded = loading.load_with_identity(
      pretrained,
      adapter,
      dtype,
      vocabulary,
      chat_template=chat_template or chat_templates.NONE,
      system_message=system_message or chat_templates.NONE,
    )
    self._model, self._params, self._identity = loaded.model, loaded.params, loaded.identity
    self._vocabulary, self._batch_size = loaded.vocabulary, int(batch_size)

  def get_model_info(self) -> dict[str, Any]:
    """What the harness writes into its results: paths and hashes of backbone, adapter and vocabulary."""
    return {'robust_t5x': self._identity}

  def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
    """Log-likelihood of each continuation in nats, and whether a greedy output begins with it.

    The end token counts where the continuation ends with its text, such as `</s>`.
    """
    del disable_tqdm
    contexts: dict[str, dict[str, int]] = {}
    for context, continuation in (request.args for request in requests):
      asked = contexts.setdefault(context, {})
      asked.setdefault(continuation, len(asked))
    continuations = [[self._continuation(text) for text in asked] for asked in contexts.values()]
    numbers = self._score('ranking', self._inputs(list(contexts)), continuations)
    found = dict(zip(contexts, numbers, strict=True))
    rows = [found[context][contexts[context][text]] for context, text in (request.args for request in requests)]
    return [(float(score), bool(is_greedy)) for score, is_greedy in rows]

  def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
    """Log-likelihood of whole texts in nats, in windows of 2,048 tokens; of decoder-only models alone."""
    del disable_tqdm
    adapter, encode = self._model.module.adapter, self._vocabulary.encode
    if not isinstance(self._vocabulary, framing.Framing):
      raise UsageError('a task asks for the likelihood of whole texts, which an encoder-decoder does not have')
    if adapter is not None and adapter.prompt_position:
      raise UsageError(
        'a task asks for the likelihood of whole texts, which have no place for a soft prompt behind a system turn'
      )
    windows: list[tuple[int, list[int], list[int]]] = []
    for number, (text,) in enumerate(request.args for request in requests):
      ids = list(encode(text))
      pairs = get_rolling_token_windows(ids, self._model.ids.end, _WINDOW, 1)
      windows += [(number, *make_disjoint_window(pair)) for pair in pairs]
    inputs = [np.asarray(context, np.int32) for _, context, _ in windows]
    scores = self._score('reading', inputs, [[continuation] for _, _, continuation in windows])
    totals = [0.0] * len(requests)
    for (number, _, _), score in zip(windows, scores, strict=True):
      totals[number] += float(score[0, 0])
    return totals

  def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
    """Greedy outputs up to the first of the texts that a task stops at.

    Raises:
      UsageError: if a task asks for samples.
    """
    del disable_tqdm
    pairs = [request.args for request in requests]
    lengths: dict[int, list[int]] = collections.defaultdict(list)
    for number, (_, settings) in enumerate(pairs):
      if settings.get('do_sample') and settings.get('temperature') != 0:
        raise UsageError('a task asks for sampled outputs; add --gen_kwargs do_sample=False for greedy ones')
      lengths[int(settings.get('max_gen_toks', _MAX_OUTPUT))].append(number)
    outputs = [''] * len(pairs)
    for length, members in lengths.items():
      with progress.Progress('generating', len(members)) as bar:
        found = self._runner(length).generate(self._inputs([pairs[n][0] for n in members]), bar.advance)
      for number, text in zip(members, found, strict=True):
        outputs[number] = _stopped(text, pairs[number][1].get('until'))
    return outputs

  def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
    """Refused: the model's template stands around every context already."""
    raise UsageError(
      "--apply_chat_template: the model's own template stands around each context already; leave the flag out, and for "
      'none add chat_template=none to --model_args'
    )

  @property
  def tokenizer_name(self) -> str:
    """What the harness tells caches of requests apart by."""
    return self._identity['vocabulary']

  def chat_template(self, chat_template: bool | str = False) -> str:
    """Refused as well; see `apply_chat_template`."""
    return self.apply_chat_template([])

  def _runner(self, max_output: int = 1) -> Runner:
    return Runner(self._model, self._params, self._batch_size, max_output)

  def _score(
    self, told: str, inputs: Sequence[np.ndarray], continuations: Sequence[Sequence[Sequence[int]]]
  ) -> list[np.ndarray]:
    with progress.Progress(told, len(inputs)) as bar:
      return self._runner().score_continuations(inputs, continuations, bar.advance)

  def _inputs(self, contexts: Sequence[str]) -> list[np.ndarray]:
    made = framing.inputs(self._vocabulary, contexts)
    # A base model without a begin token reads nothing of an empty text.
    return [np.asarray(encoded.ids or [self._model.ids.end], np.int32) for encoded in made]

  def _continuation(self, text: str) -> list[int]:
    end = self._model.ids.end
    framed = isinstance(self._vocabulary, framing.Framing)
    shown = self._vocabulary.show([end]) if framed else self._vocabulary.tokenizer.id_to_piece(end)
    own = text.removesuffix(shown)
    ids = self._vocabulary.encode_continuation(own) if framed else self._vocabulary.encode(own)
    return [*ids, *([end] if own != text else [])]


def _stopped(text: str, until: str | Sequence[str] | None) -> str:
  """A text up to the first of some others."""
  for stop in [until] if isinstance(until, str) else until or ():
    text = text.partition(stop)[0] if stop else text
  return text
