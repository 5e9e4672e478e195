"""Every error of this package that a user can mend is one by its class, and reads as one line."""

import importlib
import inspect
import pathlib

import seqio_tasks
from seqio_tasks.bank.instruction import BankError
from seqio_tasks.errors import UserError


def test_every_error_that_is_raised_here_can_be_mended_or_is_of_the_importers():
  root = pathlib.Path(seqio_tasks.__file__).parent
  found = set()
  for path in root.rglob('*.py'):
    name = '.'.join(path.relative_to(root.parent).with_suffix('').parts).removesuffix('.__init__')
    module = importlib.import_module(name)
    found |= {c for _, c in inspect.getmembers(module, inspect.isclass) if issubclass(c, Exception)}
  own = {c for c in found if c.__module__.startswith('seqio_tasks')}
  assert len(own) > 5
  assert {c.__name__ for c in own if not issubclass(c, UserError)} <= {'Unsupported', 'Raised', 'Return'}


def test_it_is_a_value_error():
  assert issubclass(UserError, ValueError)
  assert str(BankError(['a', 'b'])) == 'The instruction bank has 2 faults:\n  - a\n  - b'
