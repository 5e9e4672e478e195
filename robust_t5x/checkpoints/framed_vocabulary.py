"""The vocabulary of a decoder-only model: its tokenizer, and the frame around texts. It has the methods of a seqio vocabulary."""

from collections.abc import Sequence
import functools
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from robust_t5x.checkpoints import chat_templates, tokenizer_files
from robust_t5x.checkpoints.chat_templates import ChatTemplate, Frame, Piece
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.text_encoder import Control, Stretch, TextEncoder
from robust_t5x.checkpoints.tokenizer_spec import TokenizerSpec
from robust_t5x.runtime import files, progress
from seqio_tasks.errors import UserError, shorten
from seqio_tasks.framing import Encoded

if TYPE_CHECKING:
  import tensorflow as tf

# What an answer follows where a text does: the blank before its first word is then part of the word's token.
_NEUTRAL = ':'
_BLANK = '\u2581'  # as SentencePiece writes it


class FramedVocabulary:
  """Texts as ids, with a chat template or, for a base model, the begin token around them.

  Attributes:
    digest: SHA-256 of tokenizer, frame and special ids; equal if texts become the same tokens.
    prompt_position: ids of every input in front of where a soft prompt goes.
    tail_length: ids of every input behind its text.
    stop_ids: ids that end an output, beside `eos_id`, with which answers end.
    spare_rows: rows that an embedding may have beyond the ids.
  """

  spare_rows = 1023
  extra_ids = 0

  def __init__(self, spec: TokenizerSpec, template: ChatTemplate | None, system_message: str = chat_templates.OWN):
    """Prepares.

    Args:
      spec: the tokenizer.
      template: the chat template, None for a base model.
      system_message: see chat_templates.find_frame; a base model has none.

    Raises:
      CheckpointError: if the files do not go together, or the template cannot be used.
    """
    self._spec, self._template = spec, None if template is None else template.source
    self._encoder = TextEncoder(spec, [] if template is None else [template.source])
    frame = Frame() if template is None else chat_templates.find_frame(template, system_message)
    begin = self._begin(spec) if template is None else ()
    head, self._stretch = self._encoder.cut((*frame.opening, *frame.header))
    items, last = self._encoder.cut([Piece(frame.after)], is_first=False)
    self._right = frame.after
    self._tail: list[int] = []
    if items:
      self._right = ''
      if isinstance(items[0], Stretch):
        self._right = items[0].text
        items = items[1:]
      # What `tokenizers` would do between the text and the first special token behind it.
      takes = isinstance(items[0], Control) and items[0].takes_left
      self._stretch = Stretch(self._stretch.text, self._stretch.is_first, (self._stretch.trims[0], takes))
      self._tail = self._encoder.ids([*items, *([last] if last.text else [])])
    self.tail_length = len(self._tail)
    self._head = [*begin, *self._encoder.ids(head)]
    self._strips = frame.strips
    self._lead = ' ' if template is None else frame.answer_lead
    self._before_answer = _NEUTRAL if template is None else last.around('') if items else self._right
    self._trims_answer = bool(items) and last.trims[0] and not self._before_answer
    self._special = self._choose_special(spec, frame)
    self.prompt_position = self._position(frame, begin, spec)
    self.digest = self._digest_of(spec, frame)

  def _begin(self, spec: TokenizerSpec) -> tuple[int, ...]:
    """What the tokenizer puts before a text."""
    if spec.adds_begin is None:
      return self._encoder.begins_by_itself
    found = self._id(spec, 'bos_token')
    if spec.adds_begin and found is None:
      raise CheckpointError(f'{spec.place}: texts begin with bos_token, which is no token of it; fetch it again')
    return (found,) if spec.adds_begin and found is not None else ()

  def _id(self, spec: TokenizerSpec, role: str) -> int | None:
    text = spec.special_tokens.get(role)
    return None if text is None else self._encoder.id_of(text)

  def _choose_special(self, spec: TokenizerSpec, frame: Frame) -> tuple[int, int, tuple[int, ...]]:
    """(pad, end, stops)."""
    tail, _ = self._encoder.cut([Piece(frame.answer_tail.lstrip())], is_first=False)
    self._check_stops(spec)
    eos = self._id(spec, 'eos_token')
    if eos is None and 'eos_token' in spec.special_tokens:
      raise CheckpointError(
        f'{spec.place}: the eos_token beside it is {shorten(repr(spec.special_tokens["eos_token"]), 40)}, which is no token of it; '
        'fetch both files of one model'
      )
    stops = tuple(dict.fromkeys((*([] if eos is None else [eos]), *spec.stops)))
    end = tail[0].id if tail and isinstance(tail[0], Control) else next(iter(stops), None)
    if end is None:
      raise CheckpointError(
        f'{spec.place}: no file names the token that ends an answer; set eos_token in tokenizer_config.json beside it'
      )
    stops = tuple(dict.fromkeys((end, *stops)))
    taken = {*self._head, *self._tail, end, self._id(spec, 'bos_token')}
    own, unknown = self._id(spec, 'pad_token'), self._id(spec, 'unk_token')
    controls = [(text, c.id) for text, c in self._encoder.controls.items() if c.id not in taken]
    others = [
      i for _, i in sorted(controls, key=lambda c: ('pad' not in c[0].lower(), c[1] in stops, c[1])) if i != unknown
    ]
    if unknown is not None and unknown not in taken and self._encoder.knows_every_text:
      others.append(unknown)
    pad = own if own is not None and own not in taken else next(iter(others), None)
    if pad is None:
      raise CheckpointError(
        f'{spec.place}: no special token is left for padding, since inputs or answers hold each; add one to the tokenizer '
        'that the model has a row for, as pad_token'
      )
    if pad != own:
      name = next(text for text, c in self._encoder.controls.items() if c.id == pad)
      text = spec.special_tokens.get('pad_token')
      fault = 'is no token of it' if own is None else 'also stands in inputs or ends answers'
      why = 'no file names a pad_token' if text is None else f'the pad_token {text!r} {fault}'
      progress.log(f'{spec.place}: padding is {name!r} ({pad}), since {why}')
    return pad, end, tuple(i for i in stops if i != end)

  def _check_stops(self, spec: TokenizerSpec) -> None:
    """Raises CheckpointError if outputs end with what is no id, and says it if they end with an ordinary word."""
    special = {control.id for control in self._encoder.controls.values()}
    for stop in spec.stops:
      if not 0 <= stop < self._encoder.size:
        raise CheckpointError(
          f"{spec.place}: by the model's files outputs end with the token {shorten(stop, 40)}, and this tokenizer has "
          f'{self._encoder.size} ids; take the tokenizer that belongs to the model'
        )
      if stop not in special:
        progress.log(
          f"warning: {spec.place}: by the model's files outputs end with {self.pieces[stop]!r} ({stop}), which is no special "
          'token; see whether the tokenizer belongs to the model'
        )

  def _position(self, frame: Frame, begin: tuple[int, ...], spec: TokenizerSpec) -> int:
    """How many ids of the head belong to the opening; where no token ends with it, the begin token alone."""
    items, left = self._encoder.cut(frame.opening)
    opening = [*begin, *self._encoder.ids([*items, *([left] if left.text else [])])]
    if opening and self._head[: len(opening)] == opening:
      return len(opening)
    bos = self._id(spec, 'bos_token')  # some models call so what every turn begins with
    return int(self._head[:1] == [bos] and bos not in self._tail)

  def _digest_of(self, spec: TokenizerSpec, frame: Frame) -> str:
    layout = {k: v for k, v in spec.layout.items() if k not in ('truncation', 'padding', 'version')}
    parts = [
      layout,
      self._special,
      self._head,
      self._tail,
      self._stretch.text,
      self._stretch.is_first,
      self._stretch.trims,
    ]
    parts += [self._right, self._strips, self._lead, self._before_answer, self._trims_answer]
    parts += [self.prompt_position, sorted(self._encoder.controls)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

  def __eq__(self, other: object) -> bool:
    return isinstance(other, FramedVocabulary) and other.digest == self.digest

  def __hash__(self) -> int:
    return hash(self.digest)

  @property
  def pieces(self) -> list[str]:
    """The tokens in the order of their ids, a blank written as SentencePiece does."""
    return self._encoder.pieces()

  @property
  def words(self) -> list[int]:
    """Ids of tokens that are a blank and letters, which no special token is; all but special tokens where there are none."""
    special = {control.id for control in self._encoder.controls.values()}
    pieces = [(i, piece) for i, piece in enumerate(self.pieces) if i not in special]
    letters = [i for i, piece in pieces if piece[:1] == _BLANK and piece[1:].isascii() and piece[1:].isalpha()]
    return letters or [i for i, _ in pieces]

  def save(self, directory: str) -> None:
    """Writes the tokenizer in Hugging Face's layout, with the chat template in use if any, so that other tools read texts as here."""
    settings = {
      'tokenizer_class': 'PreTrainedTokenizerFast',
      **self._spec.special_tokens,
      **({} if self._spec.adds_begin is None else {'add_bos_token': self._spec.adds_begin}),
      **({} if self._template is None else {'chat_template': self._template}),
    }
    contents = {
      tokenizer_files.FILE: dict(self._spec.layout),
      'tokenizer_config.json': settings,
      'generation_config.json': {'eos_token_id': [self.eos_id, *self.stop_ids], 'do_sample': False},
    }
    for name, content in contents.items():
      files.write_atomically(os.path.join(directory, name), json.dumps(content, ensure_ascii=False, indent=1) + '\n')

  # What seqio asks for.

  @property
  def pad_id(self) -> int:
    """What pads; no input and no answer holds it."""
    return self._special[0]

  @property
  def eos_id(self) -> int:
    """What answers end with."""
    return self._special[1]

  @property
  def stop_ids(self) -> tuple[int, ...]:
    """What else ends an output."""
    return self._special[2]

  @property
  def unk_id(self) -> None:
    """None: every text has tokens of its own."""
    return None

  @property
  def vocab_size(self) -> int:
    """Number of ids."""
    return self._encoder.size

  def encode(self, s: str) -> list[int]:
    """The ids of a text, without what stands around it."""
    return list(self._encoder.encode([s], self._stretch.is_first)[0].ids)

  def decode(self, ids: Any) -> str:
    """The text of an output up to the first id that ends it, see decode_answer: what SeqIO and T5X decode are outputs."""
    ids = [int(i) for i in (ids.numpy() if hasattr(ids, 'numpy') else ids)]
    ends = {self.eos_id, *self.stop_ids, self.pad_id}
    return self.decode_answer(ids[: next((n for n, i in enumerate(ids) if i in ends), len(ids))])

  def encode_tf(self, s: 'tf.Tensor') -> 'tf.Tensor | tf.RaggedTensor':
    """As `encode`, in a graph, also of several texts."""
    import tensorflow as tf

    flat_texts = tf.reshape(s, [-1])

    def run(texts):
      made = self._encoder.encode([text.decode('utf-8') for text in texts.tolist()], self._stretch.is_first)
      lengths = [len(encoding.ids) for encoding in made]
      return tf.constant([i for e in made for i in e.ids], tf.int32).numpy(), tf.constant(lengths, tf.int64).numpy()

    flat, lengths = tf.numpy_function(run, [flat_texts], (tf.int32, tf.int64), stateful=False)
    flat, lengths = tf.ensure_shape(flat, [None]), tf.ensure_shape(lengths, flat_texts.shape)
    return flat if s.shape.rank == 0 else tf.RaggedTensor.from_row_lengths(flat, lengths)

  def decode_tf(self, ids: 'tf.Tensor | tf.RaggedTensor') -> 'tf.Tensor':
    """As `decode`, of ids [L] or [B, L], in a graph."""
    import tensorflow as tf

    rank = ids.shape.rank
    if isinstance(ids, tf.RaggedTensor):
      ids = ids.to_tensor(self.pad_id)

    def run(rows):
      return [self.decode(row.tolist()).encode() for row in rows.reshape(-1, rows.shape[-1])]

    texts = tf.numpy_function(run, [ids], tf.string, stateful=False)
    return tf.reshape(texts, tf.shape(ids)[: rank - 1])

  # What seqio_tasks.framing asks for.

  def show(self, ids: Sequence[int]) -> str:
    """The text of ids with the special tokens among them."""
    return self._encoder.decode([int(i) for i in ids], show_special=True)

  def encode_inputs(self, texts: Sequence[str], most: int | None = None) -> list[Encoded]:
    """Inputs of at most so many tokens; what is too long loses the end of its text.

    Raises:
      UserError: if the frame alone is longer.
    """
    encodings = self._encoder.encode([self._framed(text) for text in texts], self._stretch.is_first)
    fixed = len(self._head) + len(self._tail)
    made = []
    for text, encoding in zip(texts, encodings, strict=True):
      whole = len(encoding.ids)
      if most is not None and fixed + whole > most:
        encoding = self._shorten(text, encoding, most)
      ids = [*self._head, *encoding.ids, *self._tail]
      if self.pad_id in encoding.ids:
        raise UserError(f'the tokenizer makes its padding token of the text {shorten(repr(text))}; take that text out')
      made.append(Encoded(ids, whole - len(encoding.ids)))
    return made

  def _framed(self, text: str) -> str:
    text = text.lstrip() if self._strips[0] else text
    text = text.rstrip() if self._strips[1] else text
    return self._stretch.around(text + self._right)

  def _shorten(self, text: str, encoding: Any, most: int) -> Any:
    """The encoding of as much of a text's start as there is room for."""
    room = most - len(self._head) - len(self._tail)
    while len(encoding.ids) > room:
      if not text:
        raise UserError(
          f'an input has {most} tokens, of which the chat template alone takes {most - room + len(encoding.ids)}; raise '
          "TASK_FEATURE_LENGTHS, its 'inputs', or MAX_INPUT"
        )
      own = self._encoder.encode([text], self._stretch.is_first)[0]
      kept = max(len(own.ids) - (len(encoding.ids) - room), 0)
      text = text[: min(own.offsets[kept][0], len(text) - 1)] if kept < len(own.ids) else text[:-1]
      encoding = self._encoder.encode([self._framed(text)], self._stretch.is_first)[0]
    return encoding

  def encode_answers(self, texts: Sequence[str], most: int | None = None) -> list[Encoded]:
    """Answers of at most so many tokens, the end token included, as they follow an input."""
    made = []
    for text in texts:
      ids = self._answer(self._lead + text)
      cut = 0 if most is None else max(len(ids) - (most - 1), 0)
      made.append(Encoded([*ids[: len(ids) - cut], self.eos_id], cut))
    return made

  def encode_continuation(self, text: str) -> list[int]:
    """The tokens of a text as it stands behind an input, blanks at its start included and no end token added.

    An answer in a chat begins a turn, so that there the blanks are what the template has.
    """
    return self._answer(text if self._template is None else self._lead + text.lstrip(' '))

  @functools.cached_property
  def _before_ids(self) -> list[int]:
    """The tokens of what the input ends with."""
    return self._encoder.encode_later(self._before_answer)

  def _answer(self, text: str) -> list[int]:
    """The tokens that a text adds to what the input ends with."""
    text = text.lstrip() if self._trims_answer else text
    before = self._before_ids
    joined = self._encoder.encode_later(self._before_answer + text)
    # Where the text's start would join a token of the input, which is there already, it is encoded by itself.
    return joined[len(before) :] if joined[: len(before)] == before else self._encoder.encode_later(text)

  def decode_answer(self, ids: Sequence[int]) -> str:
    """The text of an answer, without the blanks that stand between input and answer."""
    before = self._before_ids
    shown = self._encoder.decode([*before, *ids]).removeprefix(self._encoder.decode(before))
    return shown.removeprefix(self._lead)


def build(spec: TokenizerSpec, chat_template: str, system_message: str) -> FramedVocabulary:
  """The vocabulary of a tokenizer with a template chosen by name.

  Args:
    spec: the tokenizer.
    chat_template: 'own' for the checkpoint's if it has one, 'none', or a file.
    system_message: see chat_templates.find_frame.

  Raises:
    CheckpointError: if there is no such template, or a system message without a template.
  """
  template = _template(spec, chat_template)
  if template is None and system_message not in (chat_templates.OWN, chat_templates.NONE):
    raise CheckpointError(
      f"SYSTEM_MESSAGE is set, but {spec.place} is read without a chat template, which alone would print it; set it to 'none'"
    )
  return FramedVocabulary(spec, template, system_message)


def _template(spec: TokenizerSpec, chat_template: str) -> ChatTemplate | None:
  if chat_template == chat_templates.NONE or (chat_template == chat_templates.OWN and not spec.templates):
    return None
  if chat_template == chat_templates.OWN:
    if 'default' not in spec.templates:
      raise CheckpointError(
        f'{spec.place}: of its chat templates {", ".join(sorted(spec.templates))} none is the default; put the one that is '
        'meant into a file and set CHAT_TEMPLATE to it'
      )
    return ChatTemplate(spec.templates['default'][1], spec.templates['default'][0], spec.special_tokens)
  try:
    with open(chat_template, encoding='utf-8') as f:
      return ChatTemplate(f.read(), f'CHAT_TEMPLATE: {chat_template}', spec.special_tokens)
  except (OSError, UnicodeDecodeError) as e:
    raise CheckpointError(
      f"CHAT_TEMPLATE: {chat_template} cannot be read ({shorten(e)}); give 'own', 'none', or the file of a template in jinja2"
    ) from e
