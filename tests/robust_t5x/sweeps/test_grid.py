"""Grids of sweeps: how values are written, which trials follow, what is refused before anything runs."""

import subprocess

import pytest

from robust_t5x.runtime import errors, settings
from robust_t5x.sweeps import grid

MINI = ['gin/recipes/train/align_mini.gin', 'gin/adapters/prefix.gin', 'gin/objectives/kl.gin']


def trial_names(*axes):
  return [c.name for c in grid.trials(MINI, {}, [grid.parse_axis(a) for a in axes])]


def test_values_are_literals_references_or_words():
  axis = grid.parse_axis("X=1,0.10,word,'two, words',[1, 2],(3,),@objectives.kl,%Y,None,~/dir/x")
  assert [v.binding for v in axis.values] == [
    '1', '0.1', "'word'", "'two, words'", '[1, 2]', '(3,)', '@objectives.kl', '%Y', 'None', "'~/dir/x'",
  ]  # fmt: skip
  assert [v.shown for v in axis.values][:4] == [1, 0.1, 'word', 'two, words']


def test_files_are_an_axis_named_by_their_folder():
  assert trial_names('gin_file=gin/objectives/kl.gin,gin/objectives/likelihood.gin', 'ADAPTER_LENGTH=4,8') == [
    'objectives=kl, ADAPTER_LENGTH=4',
    'objectives=kl, ADAPTER_LENGTH=8',
    'objectives=likelihood, ADAPTER_LENGTH=4',
    'objectives=likelihood, ADAPTER_LENGTH=8',
  ]
  axis = grid.parse_axis('gin_file=none,gin/ablations/a.gin+gin/ablations/b.gin')
  assert [(v.shown, v.files) for v in axis.values] == [
    ('none', ()),
    ('a+b', ('gin/ablations/a.gin', 'gin/ablations/b.gin')),
  ]


@pytest.mark.parametrize(
  ('axis', 'message'),
  [
    ('LEARNING_RATE', 'write NAME=VALUE'),
    ('LEARNING_RATE=', 'write NAME=VALUE'),
    ('X=0.1.2', 'no Python literal'),
    ('X=1e', 'no Python literal'),
    ('X=true', 'write True'),
    ('X=a b', 'no Python literal'),
    ('X=[1,2', 'a bracket has no partner'),
    ("X='a", 'a quote has no partner'),
    ('X=1,,2', 'a value is empty'),
    ('X=0.1,0.10', '0.1 stands twice'),
    ('SEED=1,2', '--seeds 1,2'),
    ('MODEL_DIR=x', 'the sweep sets MODEL_DIR'),
  ],
)
def test_an_axis_that_cannot_be_read_is_refused(axis, message):
  with pytest.raises(errors.UsageError, match=message.replace('[', r'\[')):
    grid.parse_axis(axis)


def test_a_key_depends_on_settings_not_on_the_way_they_are_given():
  fixed = grid.trials(MINI, {'LEARNING_RATE': settings.normalised('0.10')}, [grid.parse_seeds('3')])
  varied = grid.trials(
    MINI[::-1][1:], {'SEED': '3'},
    [grid.parse_axis('gin_file=gin/objectives/kl.gin'), grid.parse_axis('LEARNING_RATE=0.1,0.2')],
  )  # fmt: skip
  assert fixed[0].key == varied[0].key != varied[1].key
  assert {fixed[0].label, varied[0].label} == {'trained', 'objectives=kl, LEARNING_RATE=0.1'}


def test_the_printed_command_is_what_a_shell_reads_back():
  bindings = {'A': "'x y'", 'B': "['$a', \"b'c\"]", 'C': '0.1'}
  arguments = grid.command('train', ['a b.gin'], bindings)
  said = subprocess.run(
    ['bash', '-c', f'robust-t5x() {{ printf "%s\\n" "$@"; }}; {grid.shell(arguments)}'],
    capture_output=True, text=True, check=True,
  ).stdout.splitlines()  # fmt: skip
  assert said == arguments
  assert grid.shell(['sweep', "--eval.SPLIT='validation'"]) == 'robust-t5x sweep --eval.SPLIT="\'validation\'"'
