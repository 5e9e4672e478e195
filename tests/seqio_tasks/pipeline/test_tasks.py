"""What a task holds, without SeqIO's registries."""

from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.pipeline import phrasings
from seqio_tasks.pipeline.tasks import ExamplesMixture, ExamplesTask

EXAMPLES = [{'example_id': '0', 'fields': {'a': 'x'}, 'gold': 'y', 'options': []}]


def _task(vocabulary, examples=EXAMPLES, template='say {a}'):
  flat = phrasings.expand_phrasings([make_instruction('c', 't', 'k', 'evaluation', template)])
  return ExamplesTask('flat', {'test': examples}, vocabulary, flat, {'test': 1})


def test_a_task_reads_its_examples_and_hashes_them_with_its_phrasings(vocabulary):
  task = _task(vocabulary)
  (row,) = task.reader('test', {'inputs': 16, 'targets': 8}).rows()
  assert row['inputs_pretokenized'] == 'say x' and row['targets_pretokenized'] == 'y' and task.splits == ('test',)
  called = _task(vocabulary, lambda: EXAMPLES)
  assert task.content_hash('test') == called.content_hash('test')
  assert task.content_hash('test') != _task(vocabulary, template='tell {a}').content_hash('test')


def test_content_is_equal_where_nothing_but_the_name_differs(vocabulary):
  assert _task(vocabulary).content == _task(vocabulary, [dict(EXAMPLES[0])]).content
  assert _task(vocabulary).content != _task(vocabulary, [{**EXAMPLES[0], 'gold': 'z'}]).content
  mixtures = [
    ExamplesMixture(name, ('flat',), (rate,), ('flat',)) for name, rate in (('a', 1.0), ('b', 1.0), ('c', 2.0))
  ]
  assert mixtures[0].content == mixtures[1].content != mixtures[2].content
