"""What is known of a task stands on it, and goes with it."""

import pytest
import seqio

from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.pipeline import providers, registration

pytestmark = pytest.mark.usefixtures('empty_registries')


EXAMPLES = [{'example_id': '0', 'fields': {'a': 'x'}, 'gold': 'y', 'options': []}]


def _register(vocabulary, template='{a}'):
  instructions = [make_instruction('c', 't', 'k', 'evaluation', template)]
  registration.register_evaluation_task('flat', 'd', 'g', instructions, {'test': EXAMPLES}, vocabulary)
  registration.register_mixture('mixed', ['flat'])


def test_tasks_and_mixtures_know_what_they_hold(vocabulary):
  _register(vocabulary)
  task, mixture = seqio.TaskRegistry.get('flat'), seqio.MixtureRegistry.get('mixed')
  assert isinstance(task, providers.SeqioTask) and isinstance(mixture, providers.SeqioMixture)
  assert task.made_of.evaluation == registration.evaluation_task('flat')
  assert mixture.made_of.evaluation_tasks == ('flat',)


def test_what_is_removed_is_forgotten(vocabulary):
  _register(vocabulary)
  seqio.TaskRegistry.remove('flat')
  seqio.MixtureRegistry.remove('mixed')
  for name in ('flat', 'mixed'):
    with pytest.raises(registration.RegistrationError, match=f"'{name}' is registered"):
      registration.evaluation_tasks(name)
  _register(vocabulary, 'other {a}')
  assert registration.evaluation_task('flat').instructions[0].template == 'other {a}'


def test_what_waits_is_known_here_and_goes_to_seqio_when_it_is_published(vocabulary):
  with registration.waiting():
    _register(vocabulary)
    registration.register_mixture('mixed', ['flat'])  # once more, with the same content
    with pytest.raises(registration.RegistrationError, match="'flat' is already registered with other content"):
      _register(vocabulary, 'other {a}')
  assert registration.names() == ['flat', 'mixed'] and not {*seqio.TaskRegistry.names()}
  assert registration.evaluation_tasks('mixed') == ['flat']
  made, hashes = registration.parts('mixed'), registration.content_hashes('mixed', 'test')
  assert [(task.name, rate) for task, rate in made] == [('flat', 1.0)] and len(hashes['flat']) == 64
  registration.publish()
  assert seqio.MixtureRegistry.get('mixed').tasks == [seqio.TaskRegistry.get('flat')]
  assert registration.names() == ['flat', 'mixed']
  assert registration.parts('mixed') == made and registration.content_hashes('mixed', 'test') == hashes


def test_a_mixture_that_waits_may_have_tasks_of_seqio(vocabulary):
  _register(vocabulary)
  with registration.waiting():
    _register(vocabulary)  # stands in SeqIO's registries, and so does not wait
    instructions = [make_instruction('c', 't', 'l', 'evaluation', '{a} once more')]
    registration.register_evaluation_task('new', 'd', 'g', instructions, {'test': EXAMPLES}, vocabulary)
    registration.register_mixture('both', ['new', 'flat'], rates={'new': 2.0})
    with pytest.raises(registration.RegistrationError, match="mixture 'none' is of the task 'nowhere', which is not"):
      registration.register_mixture('none', ['new', 'nowhere'])
  assert [(task.name, rate) for task, rate in registration.parts('both')] == [('flat', 1.0), ('new', 2.0)]
  assert sorted(registration.content_hashes('both', 'test')) == ['flat', 'new']


def test_the_next_registration_forgets_what_waits(vocabulary):
  with registration.waiting():
    _register(vocabulary)
  _register(vocabulary, 'other {a}')
  assert registration.evaluation_task('flat').instructions[0].template == 'other {a}'
  with registration.waiting():
    assert registration.find('mixed') is seqio.MixtureRegistry.get('mixed').made_of


def test_tasks_of_others_are_let_be(vocabulary):
  seqio.TaskRegistry.add('theirs', source=seqio.FunctionDataSource(lambda split, shuffle_files: None, ['test']),
                         output_features={'targets': seqio.Feature(vocabulary)})  # fmt: skip
  with pytest.raises(registration.RegistrationError, match="'theirs' is registered"):
    registration.evaluation_task('theirs')
  with pytest.raises(registration.RegistrationError, match="'theirs' is already registered with other content"):
    registration.register_evaluation_task(
      'theirs', 'd', 'g', [make_instruction('c', 't', 'k', 'evaluation', '{a}')], {'test': EXAMPLES}, vocabulary
    )
