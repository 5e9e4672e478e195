"""Bank files with faults."""

import pathlib

import pytest

from seqio_tasks.bank import instruction, reading

GOOD = """
family: mini
collection: mini_tuning
role: evaluation
instructions:
  first_word:
    t01: 'Which word opens this: {sentence}'
    t02: "{sentence}\\nOpening word:"
  word_after:
    t01: 'In "{sentence}", what follows {word}?'
"""


@pytest.fixture
def good() -> str:
  """The text of a bank file without faults."""
  return GOOD


@pytest.fixture
def write(tmp_path: pathlib.Path):
  """Function of name and text that writes a file and returns its path."""

  def write_file(name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text, encoding='utf-8')
    return str(path)

  return write_file


@pytest.fixture
def problems(write):
  """Function of bank files' texts that returns what `validate` finds in them."""

  def found(*texts, fields=None, vocabulary=None):
    paths = [write(f'bank{i}.yaml', text) for i, text in enumerate(texts)]
    with pytest.raises(instruction.BankError) as error:
      reading.validate(paths, fields, vocabulary)
    for problem in error.value.problems:
      assert problem in str(error.value)
    return error.value.problems

  return found
