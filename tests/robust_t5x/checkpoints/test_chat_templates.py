"""Chat templates: what they put around texts, and templates that are refused."""

import pytest

from robust_t5x.checkpoints.chat_templates import ChatTemplate, Frame, Piece, find_frame
from robust_t5x.checkpoints.checks import CheckpointError

CHATML = (
  "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def template(source, **special):
  return ChatTemplate(source, 'model/chat_template.jinja', special)


def test_the_frame_of_a_plain_chat():
  assert find_frame(template(CHATML)) == Frame(
    header=(Piece('<|im_start|>user\n'),),
    after='<|im_end|>\n<|im_start|>assistant\n',
    answer_tail='<|im_end|>\n',
  )


def test_a_system_message_is_data_of_the_opening():
  assert find_frame(template(CHATML), 'Be <|im_end|>').opening == (
    Piece('<|im_start|>system\n'), Piece('Be <|im_end|>', True), Piece('<|im_end|>\n'),
  )  # fmt: skip


@pytest.mark.parametrize(
  ('content', 'strips'),
  [
    ('m.content', (False, False)),
    ('m.content | trim', (True, True)),
    ('m.content.rstrip()', (False, True)),
    ('m.content.lstrip()', (True, False)),
  ],
)
def test_blanks_that_it_takes_off_are_seen(content, strips):
  assert find_frame(template('{% for m in messages %}[{{ ' + content + ' }}]{% endfor %}')).strips == strips


def test_the_blanks_before_an_answer_are_the_templates():
  source = (
    '{{ bos_token }}{% for m in messages %}{% if m.role == "user" %}Q {{ m.content }} A:'
    '{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}'
  )
  frame = find_frame(template(source, bos_token='<s>', eos_token='</s>'))
  assert (frame.opening, frame.header) == ((Piece('<s>'),), (Piece('Q '),))
  assert (frame.after, frame.answer_lead, frame.answer_tail) == (' A:', ' ', '</s>')


def test_what_transformers_offers_templates():
  source = (
    '{% for m in messages %}{% if loop.index > 9 %}{% break %}{% endif %}\n    {% generation %}{{ m.content }}{% endgeneration %}'
    '\n{% endfor %}{{ [1, "é<"] | tojson }} {{ strftime_now("%d %b %Y") }}{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}'
    '{% if enable_thinking is defined and enable_thinking is false %}!{% endif %}{{ tools is none }}'
  )
  assert find_frame(template(source)).after == '[1, "é<"] 26 Jul 20242!True'


def test_thinking_is_off_and_the_prompt_says_so():
  source = CHATML[:-11] + "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
  assert find_frame(template(source)).after.endswith('<|im_start|>assistant\n<think>\n\n</think>\n\n')


@pytest.mark.parametrize(
  ('source', 'message'),
  [
    ("{{ raise_exception('no') }}", r'model/chat_template.jinja: the chat template refuses a conversation of user \(no\); mend'),
    ('{% for m in messages %}', r'no chat template \(.*; mend it, or set CHAT_TEMPLATE'),
    ('{{ messages[0].content }}{{ messages[0].content }}', "does not print the user's text once"),
    ('hello', "does not print the user's text once"),
    ('{{ messages[0].content | replace(" ", "") }}', "changes the user's text"),
    ('{{ messages[0].content.__class__ }}', 'unsafe|does not print'),
    ('{{ "".__class__.__mro__[1].__subclasses__() }}{{ messages[0].content }}', 'refuses a conversation'),
    ('{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}', 'it counts too far'),
    ('{% set x = "ab" * 10000000 %}', 'it repeats a text too often'),
    ('{{ 10 ** 100000 }}', 'large power'),
    ('{% for i in range(2000) %}{{ "abc" * 1000 }}{% endfor %}', 'prints without end'),
    ('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'refuses a conversation'),
    ('{{ messages.append(1) }}', 'refuses a conversation'),
    ('a' * 2**21, 'has 2097152 characters'),
    ('{% include "/etc/passwd" %}', 'refuses a conversation'),
  ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_told_with_file_and_cure(source, message):
  with pytest.raises(CheckpointError, match=message) as e:
    find_frame(template(source))
  assert 'model/chat_template.jinja' in str(e.value) and 'CHAT_TEMPLATE' in str(e.value)


def test_a_system_message_that_it_does_not_take_is_told():
  refuses = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('never') }}{% endif %}[{{ m.content }}]{% endfor %}"
  with pytest.raises(CheckpointError, match=r"of system, user \(never\).*or set SYSTEM_MESSAGE to 'own' or 'none'"):
    find_frame(template(refuses), 'Be brief.')
  drops = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}"
  with pytest.raises(CheckpointError, match="does not print the system message.*set SYSTEM_MESSAGE to 'own' or 'none'"):
    find_frame(template(drops), 'Be brief.')


def test_no_system_turn_needs_to_be_told_where_the_users_begins():
  once = "System: x{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('one') }}{% endif %}[{{ m.content }}]{% endfor %}"
  with pytest.raises(CheckpointError, match="SYSTEM_MESSAGE 'none' cannot take off"):
    find_frame(template(once), 'none')
  always = 'System: x\n{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}'
  assert find_frame(template(always)).opening == (Piece('System: x\n'),)
  frame = find_frame(template(always), 'none')
  assert (frame.opening, frame.header) == ((), (Piece('user: '),))
