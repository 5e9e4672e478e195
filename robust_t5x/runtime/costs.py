"""What an evaluation is going to ask of a model."""

from typing import NamedTuple


class Cost(NamedTuple):
  """Requests and tokens.

  Attributes:
    requests: that are to be made.
    known: that need not be made, since their answers are at hand.
    input_tokens: of the requests to be made, about.
    output_tokens: that their answers may have at most.
    shared_tokens: of the requests besides, which others begin with as well and which are read with those.
    sharing: requests that have such tokens.
    groups: of these, which begin alike.
  """

  requests: int = 0
  known: int = 0
  input_tokens: int = 0
  output_tokens: int = 0
  shared_tokens: int = 0
  sharing: int = 0
  groups: int = 0

  def plus(self, other: 'Cost') -> 'Cost':
    """Both together.

    >>> Cost(1, 0, 20, 8).plus(Cost(2, 1, 10, 8, 5))
    Cost(requests=3, known=1, input_tokens=30, output_tokens=16, shared_tokens=5, sharing=0, groups=0)
    """
    return Cost(*(a + b for a, b in zip(self, other, strict=True)))
