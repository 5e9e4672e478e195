"""Names in templates: the layout's own, the data's, and numbers as words."""

from seqio_tasks.bank.fields import count_word, field_name, shuffled


def test_names_with_a_meaning_of_their_own_are_not_for_the_data():
  for name in (
    'answer',
    'options',
    'option',
    'label',
    'n_options',
    'option_12',
    'alternatives',
    'answer_index',
    'brace_open',
  ):
    assert field_name(name) == f'data_{name}'
  for name in ('question', 'data_answer', 'labels', 'option_', 'option_0', 'answers', 'number'):
    assert field_name(name) == name


def test_numbers_as_words():
  assert [count_word(n) for n in (0, 3, 20, 21)] == ['zero', 'three', 'twenty', '21']


def test_a_shuffled_list_is_another_order_of_the_same_options():
  for count in range(2, 9):
    orders = {shuffled(count, seed) for seed in range(50)}
    assert all(sorted(order) == [*range(count)] for order in orders) and tuple(range(count)) not in orders
  assert shuffled(1, 5) == (0,) and shuffled(0, 5) == () and shuffled(2, 5) == (1, 0)
