"""Tests of sorting phrasings into groups."""

import json

import pytest

from seqio_tasks import datasets, suites
from seqio_tasks.bank import layouts
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.pipeline import registration
from seqio_tasks.suites import groups

pytestmark = pytest.mark.usefixtures('empty_registries')


def test_groups_follow_from_what_the_model_observed(vocabulary, banks, quiz):
  names = suites.register(vocabulary, [quiz], banks, observed_collections=['seen'])
  flat = {
    'quiz_eval_observed', 'quiz_eval_seen', 'quiz_eval_unobserved', 'quiz_eval_unseen', 'quiz_eval_incorrect',
    'quiz_eval_wrong',
  }  # fmt: skip
  assert {n for n in names if '_eval_' in n} == flat | {f'{task}__rank' for task in flat}
  assert [i.id for i in registration.evaluation_task('quiz_eval_observed').instructions] == [
    'seen/quiz/k0',
    'seen/quiz/k1',
  ]
  assert registration.evaluation_task('quiz_eval_unseen').group == 'unobserved'
  assert 'quiz__unseen_k1' in names and 'quiz__unseen_k1__rank' in names
  # The phrasing of a field that the data lack serves nobody.
  assert not [n for n in names if 'other' in n]


def _serve(roles, own=None, observed=(), alignment_collections=None):
  phrasings = [make_instruction(c, 't', f'k{i}', role, f'{i} {{q}}') for i, (c, role) in enumerate(roles)]
  dataset = datasets.Dataset('d', 'b', ('t',), {}, own=own)
  return groups.serve(dataset, groups.by_task(phrasings), frozenset(observed), alignment_collections)


ROLES = [('a', 'evaluation'), ('b', 'evaluation'), ('c', 'alignment'), ('d', 'alignment'), ('a', 'default')]


def test_what_phrasings_are_for():
  served = _serve(ROLES, observed=['b'])
  assert [(g.name, g.counted, g.suffix, [i.key for i in g.instructions]) for g in served.groups] == [
    ('unobserved', 'unobserved', '_unobserved', ['k0']),
    ('observed', 'observed', '_observed', ['k1']),
    ('default', 'default', '_default', ['k4']),
  ]
  assert [i.key for i in served.canonical] == ['k1'] and [i.key for i in served.paraphrases] == ['k2', 'k3']
  assert [i.key for i in _serve(ROLES, alignment_collections=['d']).paraphrases] == ['k3']


def test_a_suite_names_its_groups_itself_and_results_are_counted_by_the_model():
  own = datasets.OwnPhrasings(list, observed=('a',))
  for observed, counted in ((('a', 'x'), 'observed'), (('b',), 'unobserved')):
    served = _serve(ROLES, own, observed)
    assert {g.name: g.counted for g in served.groups} == {
      'observed': counted, 'unobserved': 'unobserved', 'default': 'default'
    }  # fmt: skip
    assert [i.key for i in served.canonical] == ['k0']


def test_a_suite_may_group_roles_and_leave_a_name_out():
  own = datasets.OwnPhrasings(list, groups={'default': 'good', 'evaluation': 'good'}, unnamed='good')
  (group,) = _serve(ROLES, own).groups
  assert (group.name, group.suffix, len(group.instructions)) == ('good', '', 3)


def test_the_order_of_groups():
  names = ['incorrect', 'unobserved', 'good', 'development', 'observed']
  assert sorted(names, key=groups.place) == ['good', 'observed', 'unobserved', 'development', 'incorrect']


def test_a_text_that_stands_under_two_tasks_serves_once():
  phrasings = [make_instruction('c', task, 'k', 'evaluation', '{q}') for task in ('t', 'u')]
  other = make_instruction('c', 'u', 'l', 'evaluation', '{q}, {r}')
  dataset = datasets.Dataset('d', 'b', ('t', 'u'), {}, fields=('q',))
  served = groups.serve(dataset, groups.by_task([*phrasings, other]), frozenset(), None)
  assert [i.task for i in served.members] == ['t']


def _perturbed(kinds, observed=(), own=None):
  roles = [*ROLES, ('e', 'evaluation')]
  phrasings = [make_instruction(c, 't', f'k{i}', role, f'Ask word {i}: {{q}}') for i, (c, role) in enumerate(roles)]
  served = groups.serve(
    datasets.Dataset('d', 'b', ('t',), {}, own=own), groups.by_task(phrasings), frozenset(observed), None, kinds, 3
  )
  return served, {g.name: [i.id for i in g.instructions] for g in served.groups}


def test_perturbations_are_groups_of_observed_phrasings_or_else_of_all():
  served, found = _perturbed(['typos', 'option_order', 'persona'], observed=['b'])
  assert found['typos'] == ['b/t/k1_typos'] and found['persona'] == ['b/t/k1_persona'] and 'option_order' not in found
  assert [i.key for i in served.canonical] == ['k1'] and [i.key for i in served.paraphrases] == ['k2', 'k3']
  _, found = _perturbed(['typos'])
  assert found['typos'] == ['a/t/k0_typos', 'b/t/k1_typos', 'e/t/k5_typos']
  _, found = _perturbed(['typos'], own=datasets.OwnPhrasings(list, ('a',), {'a': 'seen'}))
  assert found['typos'] == ['a/t/k0_typos'] and found['seen'] == ['a/t/k0', 'a/t/k4']


def test_perturbed_phrasings_are_evaluated_by_themselves(vocabulary, banks, quiz):
  names = suites.register(vocabulary, [quiz], banks, observed_collections=['seen'], perturbations=['case'])
  assert {'quiz_eval_case', 'quiz_eval_seen_case', 'quiz__seen_k0_case'} <= {*names}
  task = registration.evaluation_task('quiz_eval_case')
  assert task.group == 'case' and [i.role for i in task.instructions] == ['case', 'case']


def test_an_unobserved_phrasing_that_reads_like_an_observed_one_is_told(caplog):
  letters, inline = {'options_1': layouts.STYLES['letters']}, {'options_2': layouts.STYLES['inline']}
  phrasings = [
    make_instruction(
      'a', 't', 'k', 'evaluation', 'Pick one: {q}\n{options_1}', layouts.Layout('Pick one: {q}\n{options_1}', letters)
    ),
    make_instruction(
      'b', 't', 'k', 'evaluation', 'pick one {q} {options_2}', layouts.Layout('pick one {q} {options_2}', inline)
    ),
    make_instruction('b', 't', 'l', 'evaluation', 'Pick {q}'),
    make_instruction('b', 't', 'm', 'incorrect', 'Pick one: {q}'),
  ]
  for name in ('d', 'e'):
    groups.serve(datasets.Dataset(name, 'b', ('t',), {}), groups.by_task(phrasings), frozenset(['a']), None)
  assert (
    caplog.text.count(
      'phrasings of t: 1 unobserved phrasings have the words of an observed one; the first: b/t/k, which'
    )
    == 1
  )
  assert datasets.readings()['phrasings of t'] == {
    'used': 2, 'left_out': {}, 'seen': {'rows': 1, 'first': 'b/t/k, which reads like a/t/k'}
  }  # fmt: skip
  # Of a model that was tuned on neither, both are new.
  caplog.clear()
  groups.serve(datasets.Dataset('d', 'b', ('t',), {}), groups.by_task(phrasings), frozenset(), None)
  assert not caplog.text


def test_phrasings_by_letters_do_not_serve_more_options_than_letters(vocabulary, banks, tmp_path, caplog):
  rows = [{'question': f'q{i}', 'o': [f'o{k}' for k in range(26 + i)], 'answer': 'o1'} for i in range(2)]
  for name, count in (('few', 1), ('many', 2)):
    path = tmp_path / f'{name}.jsonl'
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows[:count]))
    made = datasets.table(path, name, ['quiz'], options='o')
    names = [n for _ in range(2) for n in suites.register(vocabulary, made, banks, observed_collections=['seen'])]
    assert f'{name}__seen_k0' in names and (f'{name}__seen_k1' in names) == (name == 'few')
  first = 'seen/quiz/k1 lists options by letter, and examples of many have up to 27'
  assert caplog.text.count('phrasings are left out') == 1
  assert f'many: 4 phrasings are left out; the first: {first}' in caplog.text
  assert datasets.readings()['many, phrasings by letters']['unserved'] == {'rows': 4, 'first': first}
