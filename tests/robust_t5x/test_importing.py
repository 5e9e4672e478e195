"""The verb `import`, as its users call it: bank files are made, checked by `tasks validate`, and not written over."""

import pytest

from robust_t5x import __main__ as command_line

pytestmark = pytest.mark.usefixtures('as_started_anew')


def run(*arguments) -> int:
  return command_line.main([str(a) for a in arguments])


def test_import_and_render(tmp_path, capsys):
  source, out = tmp_path / 'mine.csv', tmp_path / 'out'
  source.write_text('template,id\n"Quickly: {question}",a\n')
  arguments = ('import', 'csv', '--file', source, '--collection', 'quick', '--task', 'quiz', '--out', out)
  assert run(*arguments) == 0
  assert 'wrote 1 instructions' in capsys.readouterr().out
  assert run('tasks', 'validate', out) == 0
  assert run(*arguments) == 2
  assert 'already holds YAML files' in capsys.readouterr().err
  assert run('import', 'flan', '--repo', tmp_path, '--out', tmp_path / 'other') == 2
  assert 'give --repo a clone' in capsys.readouterr().err
  assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'the following arguments are required: SOURCE'),
    (['csv', '--file', 'x'], 'the following arguments are required: --out, --collection'),
    (['multiprompt', '--dir', 'x', '--out', 'y', '--benchmark', 'mmlu'], "invalid choice: 'mmlu'"),
  ],
)
def test_what_is_missing_on_the_command_line_is_named(arguments, message, capsys):
  with pytest.raises(SystemExit) as end:
    run('import', *arguments)
  assert end.value.code == 2
  assert message in capsys.readouterr().err
