"""A vocabulary for tasks, and SeqIO's registries as a test finds them when it runs by itself."""

import pytest


@pytest.fixture(scope='session')
def vocabulary(tiny_vocabulary_path):
  """The tiny vocabulary as SeqIO has it, with T5's sentinels."""
  import seqio

  return seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=100)


@pytest.fixture
def empty_registries():
  """Takes away what other tests of this process, and this one, registered."""
  import seqio

  from seqio_tasks.pipeline import registration

  with registration.waiting():
    pass  # forgets what waits

  for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
    registry.reset()
  yield
  for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
    registry.reset()
