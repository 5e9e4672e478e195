"""Drafts of paraphrases: what is tidied, what is refused and why."""

import pytest

from seqio_tasks.bank import drafts, layouts
from seqio_tasks.bank.instruction import make_instruction


def _make(key, template, role='alignment', task='quiz', style='letters'):
  blocks = {'options': layouts.STYLES[style]} if '{options}' in template else {}
  return make_instruction('mine', task, key, role, template, layouts.Layout(template, blocks))


PLAIN = _make('a1', 'Say which animal is meant: {question}')
LISTED = _make('a2', '{question}\n{options}\nGive the letter of the right answer.')
INLINE = _make('a3', 'Which of {options} fits {question}', style='inline_or')


@pytest.mark.parametrize(
  ('output', 'text'),
  [
    ('  Name the animal: {question}\n', 'Name the animal: {question}'),
    ('"Name the animal: {question}"', 'Name the animal: {question}'),
    ('Sure! Here is a new instruction:\n\n```\nName it: {question}\n```', 'Name it: {question}'),
    ('New instruction: **Name it: {question}**', 'Name it: {question}'),
    ('"Cats" or "dogs"', '"Cats" or "dogs"'),  # these belong to it
    ('Here: {question}', 'Here: {question}'),
    ('""', '""'),
  ],
)
def test_what_models_put_around_a_text_is_taken_off(output, text):
  assert drafts.tidied(output, PLAIN) == text


def test_options_in_lines_get_lines_of_their_own():
  assert drafts.tidied('For {question}, choose from {options}. Which letter?', LISTED) == (
    'For {question}, choose from\n{options}\nWhich letter?'
  )
  assert drafts.tidied('Letter?\n\n{options}\n\n{question}', LISTED) == 'Letter?\n{options}\n{question}'
  inline = 'Is it {options}, given {question}?'
  assert drafts.tidied(inline, INLINE) == inline


@pytest.mark.parametrize(
  ('text', 'source', 'reason', 'detail'),
  [
    ('', PLAIN, drafts.EMPTY, ''),
    ('Name {it}} {question}', PLAIN, drafts.BRACES, ''),
    ('Name {}', PLAIN, drafts.BRACES, ''),
    ('Name the animal.', PLAIN, drafts.MISSING, '{question}'),
    ('{question} {animal}', PLAIN, drafts.UNKNOWN, '{animal}'),
    ('{question} {question}', PLAIN, drafts.TWICE, '{question}'),
    ('{question} ' + 'word ' * 50, PLAIN, drafts.LONG, '51 words'),
    ('{question}\n{options}\nGive the number.', LISTED, drafts.FORM, 'number, not letter'),
    ('{question}\n{options}\nAnswer.', LISTED, drafts.FORM, 'none named, not letter'),
    ('Yes or no: {question}', PLAIN, drafts.FORM, 'yes or no, not none named'),
    ('Name the animal and explain: {question}', PLAIN, drafts.MORE, 'explain'),
    ('Rephrase this: {question}', PLAIN, drafts.ABOUT, 'Rephrase'),
    ('{question} The answer is dog.', PLAIN, drafts.ANSWERS, 'answer is d'),
  ],
)
def test_why_a_draft_is_refused(text, source, reason, detail):
  assert drafts.text_fault(text, source) == (reason, detail)


def test_what_the_source_says_itself_is_no_fault():
  source = _make('a9', 'Explain {question}. The answer is A')
  assert drafts.text_fault('Would you explain {question}? The answer is B', source) is None
  assert drafts.text_fault('{question} The animal meant, that is the answer:', PLAIN) is None
  assert drafts.text_fault('{options}\n{question}\n(A, B, ...)', LISTED) is None  # letters, in other words


def _drafts(role='alignment'):
  bank = [
    PLAIN,
    _make('e1', 'Tell me the name of the creature in {question} now', 'evaluation'),
    _make('d1', 'Guess what lives here and is described by {question}', 'development'),
    _make('n1', 'Do not say anything about the beast of {question} today', 'negation'),
    _make('o1', 'Read {question} aloud', 'evaluation', task='other'),
  ]
  return drafts.Drafts(bank, 'quiz', role, 'new')


def test_doubles_and_neighbours_are_refused():
  found = _drafts()
  assert found.fault('say WHICH animal is meant, {question}', PLAIN) == (drafts.SAME, 'mine/quiz/a1')
  assert found.fault('Read {question} aloud!', PLAIN) == (drafts.SAME, 'mine/other/o1')  # of whatever task
  reason, detail = found.fault('Say which animal is meant there: {question}', PLAIN)
  assert reason == drafts.LIKE and detail.endswith('to mine/quiz/a1')
  for text, id_ in (
    ('Tell me the name of the creature that {question} has', 'e1'),
    ('Guess what lives here, by {question} described', 'd1'),
  ):
    reason, detail = found.fault(text, PLAIN)
    assert reason == drafts.NEAR and detail.endswith(f'to mine/quiz/{id_}'), detail
  # Nothing is near what is meant to differ, and much may be near what is of another task.
  assert found.fault('Do say anything about the beast of {question} today, please', PLAIN) is None
  assert found.fault('Read {question} aloud for us', PLAIN) is None


def test_evaluation_drafts_keep_away_from_what_is_trained_on():
  source = _make('e1', 'Tell me the name of the creature in {question} now', 'evaluation')
  assert _drafts('evaluation').fault('Say which animal is meant there: {question}', source)[0] == drafts.NEAR


def test_drafts_that_are_kept_count_from_then_on():
  found = _drafts()
  text = 'What beast do these words describe? {question}'
  assert found.fault(text, PLAIN) is None
  made = found.keep(text, PLAIN)
  assert (made.id, made.role, made.source, made.template) == ('new/quiz/p001', 'alignment', 'mine/quiz/a1', text)
  assert found.fault(text, PLAIN) == (drafts.SAME, 'new/quiz/p001')
  assert found.fault('What beast do these few words describe? {question}', PLAIN)[0] == drafts.LIKE
  listed = found.keep('{options}\n{question}\nLetter:', LISTED)
  item = {'question': 'Q', 'options': ['x', 'y'], 'answer': 'y'}
  assert listed.id == 'new/quiz/p002' and listed.layout.render(item) == ('A. x\nB. y\nQ\nLetter:', 'B', ('A', 'B'))
