"""Instructions: one phrasing of one task, and the error that lists what is wrong with a bank of them."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import re

from seqio_tasks.bank.layouts import Layout
from seqio_tasks.bank.templates import parsed_template
from seqio_tasks.errors import UserError

# Changes of a phrasing that leave what it asks for as it is, see `perturbations`: each is a role of its own.
PERTURBATIONS = (
  'typos',
  'case',
  'spacing',
  'punctuation',
  'separators',
  'option_labels',
  'option_order',
  'politeness',
  'persona',
)
ROLES = (
  'evaluation',
  'alignment',
  'development',
  'incorrect',
  'negation',
  'random',
  'default',
  *PERTURBATIONS,
)


NAME = re.compile(r'[A-Za-z0-9_]+')


class BankError(UserError):
  """Faults of an instruction bank; the message lists all of them, `problems` holds them apart."""

  def __init__(self, problems: Sequence[str]):
    self.problems = tuple(problems)
    count = len(self.problems)
    heading = f'The instruction bank has {count} fault{"s" if count > 1 else ""}:'
    super().__init__('\n  - '.join([heading, *self.problems]))


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One phrasing of one task.

  Attributes:
    id: "<collection>/<task>/<key>", unique in a bank.
    task: what is asked, e.g. "first_word".
    role: one of `ROLES`.
    collection: where the phrasing stems from; a model declares the collections it was tuned on.
    template: the text, with named fields in braces; "" if there is only a few-shot form.
    fields: names of the template's fields, each once, in the order of first appearance.
    layout: how items go into the text.
    source: what its source calls it, such as "NIV2/QA/12"; "" for nothing.
    verbatim: it is published and kept as it is, even where it doubles another.
  """

  id: str
  task: str
  role: str
  collection: str
  template: str
  fields: tuple[str, ...]
  layout: Layout = dataclasses.field(default=None, hash=False, repr=False)  # type: ignore[assignment]  # set below
  source: str = ''
  verbatim: bool = False

  def __post_init__(self):
    if self.layout is None:
      object.__setattr__(self, 'layout', Layout(self.template))

  @property
  def key(self) -> str:
    """The last part of the id."""
    return self.id.rsplit('/', 1)[-1]


def make_instruction(
  collection: str,
  task: str,
  key: str,
  role: str,
  template: str | None,
  layout: Layout | None = None,
  source: str = '',
  verbatim: bool = False,
) -> Instruction:
  """Builds an instruction, with its id and fields; ValueError if the template is malformed."""
  template = template or ''
  fields = tuple(dict.fromkeys(name for _, name in parsed_template(template) if name))
  return Instruction(
    f'{collection}/{task}/{key}', task, role, collection, template, fields, layout or Layout(template), source, verbatim
  )
