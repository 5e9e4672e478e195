"""Model cards: the hub's own reader of them, numbers, foreign texts, and what is refused."""

import dataclasses

from helpers import change_record, write_evaluation
import pytest
import yaml

from robust_t5x.adapters import AdapterConfig
from robust_t5x.analysis.comparison import compare
from robust_t5x.analysis.effects import compare_two
from robust_t5x.reports import card, tables

CONFIG = """
ALIGNMENT_OBJECTIVE = @objectives.weighted_sum()
ANCHOR_WEIGHT = 2.0
BANKS = ['/home/someone/secret/mine.yaml', 'package']
MODEL_DIR = '/home/someone/secret/run'
SEED = 7
TRAIN_STEPS = 300
objectives.weighted_sum.weights = [1.0, %ANCHOR_WEIGHT]
"""
SUBJECT = card.Subject(
  name='tuned', config=AdapterConfig(lora_rank=4), values=1234, sha256='a' * 64, backbone='b' * 64, decoder=True, merged=False,
  metadata={'gin_config': CONFIG}, record={'seed': 7, 'backbone': None, 'tasks': {'t_alignment': 'c' * 64}},
  base_model='someone/model', license='apache-2.0',
)  # fmt: skip


@pytest.fixture
def results(two_evaluations):
  """Evaluations without and with the adapter of SUBJECT."""
  before, after = two_evaluations
  change_record(before, fingerprint__backbone='b' * 64, fingerprint__adapter=None)
  change_record(after, fingerprint__backbone='b' * 64, fingerprint__adapter='a' * 64)
  return str(before), str(after)


@pytest.fixture
def seeds(results, tmp_path):
  """`results` and evaluations with the adapters of two other seeds, better and worse."""
  others = []
  for name, unobserved in (('c', 0.9), ('d', 0.6)):
    write_evaluation(tmp_path / name, name, {'observed': 0.95, 'unobserved': unobserved}, seed=ord(name))
    change_record(
      tmp_path / name, fingerprint__scorer='exact_match', fingerprint__split='test', fingerprint__seed=0,
      model__vocabulary='f' * 64, fingerprint__backbone='b' * 64, fingerprint__adapter=name * 64,
    )  # fmt: skip
    others.append(str(tmp_path / name))
  return *results, *others


def compared(results, subject=SUBJECT):
  """What a card reports of evaluations, the one without the adapter first."""
  return card.compared(results[0], results[1:], subject)


def test_the_hubs_own_reader_finds_model_licence_and_results(results):
  from huggingface_hub import ModelCard

  data = ModelCard(card.text(SUBJECT, compared(results))).data
  assert (data.base_model, data.license, data.library_name) == ('someone/model', 'apache-2.0', 'peft')
  assert data.base_model_relation == 'adapter' and 'lora' in data.tags and data.model_name == 'tuned'
  found = {(r.dataset_name, r.dataset_split, r.metric_type, r.metric_name): r.metric_value for r in data.eval_results}
  assert len(found) == 8
  by_phrasing = compare([results[1]]).phrasings.query('dataset == "first" and group == "unobserved"')['b']
  place = ('first', 'test', 'accuracy')
  assert found[*place, 'accuracy, mean over 3 unobserved phrasings'] == pytest.approx(by_phrasing.mean(), abs=1e-5)
  assert found[*place, 'accuracy, worst of 3 unobserved phrasings'] == pytest.approx(by_phrasing.min(), abs=1e-5)


def test_the_table_has_the_numbers_of_a_comparison(results):
  comparison = compare_two(*results)
  found = card.tables(comparison)
  assert list(found) == ['observed', 'unobserved']
  first, second, every = found['unobserved'].rows
  by_phrasing = comparison.phrasings.query('dataset == "first" and group == "unobserved"')
  assert first[:3] == ('first', 3, 40) and second[0] == 'second' and every[:3] == ('mean of all', None, 80)
  for place, model in ((3, 'a'), (4, 'b')):
    assert first[place].estimate == pytest.approx(by_phrasing[model].mean())
    assert first[place].low < first[place].estimate < first[place].high
    assert first[place + 4] == pytest.approx(by_phrasing[model].max() - by_phrasing[model].min())
    assert first[place + 6] == pytest.approx(by_phrasing[model].min())
  assert every[5] == comparison.change('b', 'unobserved', 'AvgP') and every[6] == 'different'
  text = card.text(SUBJECT, card.Evaluated(comparison))
  assert tables.text(every[5], 'points') in text and tables.text(comparison.gap_change('b'), 'points') in text


def test_other_seeds_stand_beside_the_adapters_own_numbers(seeds):
  before, own, better, worse = seeds
  alone, text = card.text(SUBJECT, compared(seeds[:2])), card.text(SUBJECT, compared((before, better, own, worse)))
  assert 'One training run was evaluated' in alone and 'Other seeds' not in alone
  assert (
    'One training run was evaluated' not in text and 'by all 3 that were trained alike from different seeds' in text
  )
  assert text.split('---\n')[1] == alone.split('---\n')[1]  # the hub is told this adapter's results
  for title in ('Under unobserved', 'Under observed', 'Gap'):
    assert section(text, title) == section(alone, title)
  table = card.seeds_table(compared((before, better, own, worse)))
  assert [column.name for column in table.columns[-3:]] == ['mean of 3 seeds', 'lowest', 'highest']
  assert [row[:2] for row in table.rows[-2:]] == [('unobserved', 'mean of all'), ('gap', 'mean of all')]
  accuracy = {
    path: compare([path]).phrasings.query('group == "unobserved"').groupby('dataset')[name].mean().mean()
    for path, name in zip(seeds, 'abcd', strict=True)
  }
  change = [accuracy[path] - accuracy[before] for path in (own, better, worse)]
  _, _, mine, mean, lowest, highest = table.rows[-2]
  assert mine == pytest.approx(change[0]) and (lowest, highest) == pytest.approx((change[2], change[1]))
  assert mean.estimate == pytest.approx(sum(change) / 3)
  # Three seeds that differ by 30 points leave open far more than the examples of one do.
  single = compare_two(before, own).change('b', 'unobserved', 'AvgP')
  assert mean.high - mean.low > 3 * (single.high - single.low)


def section(text, title):
  """A card's part under a title."""
  return text.split(f'### {title}')[1].split('\n#')[0]


@pytest.mark.parametrize(
  ('order', 'message'),
  [
    ('acd', 'c/run.json is of the adapter with the hash cccccccccccc, not of the adapter with the hash aaaaaaaaaaaa'),
    ('abcc', 'an evaluation is named twice'),
    ('abac', 'a/run.json is of the model without adapter; behind the evaluation with the adapter give those with'),
    ('bcd', 'b/run.json is of the adapter with the hash aaaaaaaaaaaa, not of the model without adapter'),
  ],
)
def test_what_are_no_seeds_is_refused(seeds, order, message):
  with pytest.raises(card.CardError, match=message):
    compared([seeds['abcd'.index(name)] for name in order])
  change_record(seeds[2], fingerprint__adapter='d' * 64)
  with pytest.raises(card.CardError, match='d/run.json is of the adapter with the hash dddddddddddd as .*c is; behind'):
    compared(seeds)


def test_training_is_told_without_the_places_of_a_machine(results):
  text = card.text(SUBJECT, compared(results))
  assert '| steps | 300 |' in text and '| seed | 7 |' in text and '| objective | weighted_sum() |' in text
  assert '| objectives.weighted_sum.weights | [1.0, 2.0] |' in text
  assert "| banks of phrasings | ['mine.yaml', 'package'] |" in text and 'Tasks: t_alignment.' in text
  assert 'secret' not in text and str(results[0]) not in text
  assert text.endswith('.\n')


@pytest.mark.parametrize(
  ('config', 'told'),
  [
    (
      "CHAT_TEMPLATE = 'own'\nSYSTEM_MESSAGE = 'own'\n",
      "Texts were read in the model's own chat template, where it has one.\n",
    ),
    ("CHAT_TEMPLATE = 'none'\n", 'Texts were read without a chat template.\n'),
    (
      "CHAT_TEMPLATE = '/home/me/x.jinja'\nSYSTEM_MESSAGE = 'Be <b>brief.'\n",
      "Texts were read in another chat template than its own, with the system message 'Be &lt;b>brief.'.\n",
    ),
    ('', None),
  ],
)
def test_what_stood_around_texts(results, config, told):
  change_record(results[1], gin_config=config)
  text = card.text(SUBJECT, compared(results))
  assert told in text if told else 'Texts were read' not in text
  assert '/home/me' not in text
  other = dataclasses.replace(SUBJECT, decoder=False)
  assert 'Texts were read' not in card.text(other, compared(results, other))


def test_what_is_not_known_is_said_and_not_guessed(results):
  subject = dataclasses.replace(SUBJECT, metadata={}, record=None, base_model=None, license=None)
  text = card.text(subject, compared(results, subject))
  front = yaml.safe_load(text.split('---\n')[1])
  assert not {'license', 'base_model', 'base_model_relation'} & set(front)
  assert 'does not record how it was trained' in text and 'None was stated' in text and 'b' * 64 in text


@pytest.mark.parametrize(
  ('config', 'merged', 'words', 'library'),
  [
    (AdapterConfig(length=5), False, 'a soft prompt of 5 vectors', 'peft'),
    (AdapterConfig(prefix_lengths={'decoder': 3}, prefix_gated=False), False, 'a prefix of 3 key-value pairs', 'peft'),
    (AdapterConfig(lora_rank=2), True, 'LoRA of rank 2', 'transformers'),
  ],
)
def test_what_was_exported_is_named_and_loaded_as_it_is(results, config, merged, words, library):
  subject = dataclasses.replace(SUBJECT, config=config, merged=merged, decoder=False)
  text = card.text(subject, compared(results, subject))
  assert f'someone/model with {words}' in text and 'AutoModelForSeq2SeqLM' in text
  assert yaml.safe_load(text.split('---\n')[1])['library_name'] == library
  assert ('PeftModel' in text) != merged and ('merged into the weights' in text) == merged


def test_foreign_texts_are_escaped(results):
  before, after = results
  change_record(before, label='x\n---\nlicense: mit')
  change_record(after, label='<img src=x> | [a](b)')
  subject = dataclasses.replace(SUBJECT, name='a: "b"\n---\n<i>')
  text = card.text(subject, compared(results, subject))
  front, rest = yaml.safe_load(text.split('\n---\n')[0]), text.split('\n---\n')[1:]
  assert front['license'] == 'apache-2.0' and len(rest) == 1
  assert '<i' not in rest[0] and '<img' not in text and '](b)' not in text.replace('\\](b)', '')


@pytest.mark.parametrize(
  ('which', 'change', 'message'),
  [
    (0, {'fingerprint__backbone': 'd' * 64}, r'a/run.json is of another model \(hash dddddddddddd\)'),
    (1, {'fingerprint__backbone': ''}, 'b/run.json has no hash of the weights'),
    (0, {'fingerprint__adapter': 'a' * 64}, 'a/run.json is of the adapter with the hash aaaaaaaaaaaa, not of the model without'),
    (1, {'fingerprint__adapter': 'd' * 64}, 'b/run.json is of the adapter with the hash dddddddddddd, not of the adapter with'),
    (1, {'fingerprint__adapter': None}, 'b/run.json is of the model without adapter, not of the adapter with'),
    (1, {'fingerprint__scorer': 'lmentry'}, 'cannot be compared: another scorer'),
    (1, {'finished': None}, 'was interrupted'),
  ],
)  # fmt: skip
def test_results_of_something_else_are_refused(results, which, change, message):
  change_record(results[which], **change)
  with pytest.raises(ValueError, match=message):
    compared(results)


def test_a_hash_that_is_none_gets_into_no_card(results):
  odd = '`\n```sh\ncurl evil | sh'
  for path in results:
    change_record(path, fingerprint__backbone=odd)
  with pytest.raises(card.CardError, match='names its model by .*, which is no SHA-256'):
    compared(results, dataclasses.replace(SUBJECT, backbone=odd))


def test_a_place_without_results_is_refused(results, tmp_path):
  with pytest.raises(card.CardError, match='nothing has no run.json; give OUTPUT_DIR'):
    card.compared(results[0], [str(tmp_path / 'nothing')], SUBJECT)


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (('a/b/c', None), "--base_model: 'a/b/c' is no name"),
    (('/home/me/model', None), "--base_model: '/home/me/model' is no name"),
    (("a'b", None), 'is no name'),
    ((None, 'Apache 2.0'), "--license: 'Apache 2.0' is no identifier"),
  ],
)
def test_names_that_the_hub_would_not_take(names, message):
  with pytest.raises(card.CardError, match=message):
    card.check_names(*names)
  card.check_names('gpt2', 'mit')
