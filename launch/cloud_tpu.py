#!/usr/bin/env python3
"""Runs this project on a Cloud TPU VM or pod slice, with the gcloud command.

  python launch/cloud_tpu.py up    --name N --zone Z --topology v4-32 [--spot]   create or reuse it, install
  python launch/cloud_tpu.py check --name N --zone Z --topology v4-32            count workers and devices
  python launch/cloud_tpu.py run   --name N --zone Z --topology v4-32 [--spot] -- train RECIPE --NAME=VALUE ...
  python launch/cloud_tpu.py logs|stop|down --name N --zone Z
  python launch/cloud_tpu.py fetch --name N --zone Z REMOTE LOCAL

`run` does all of it: create or reuse, install, check, start on all workers, follow until the end. A spot TPU that is
taken away is created again and the command is run again, which goes on from its checkpoints where MODEL_DIR is in a
bucket (gs://...). After `--` stand the arguments of robust-t5x, or `t5x.train`, `t5x.eval`, `t5x.infer` and theirs.

--dry-run prints every command, quoted for a shell, and runs none. Nothing here needs more than Python and gcloud.
"""

import argparse
from collections.abc import Sequence
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Topology -> (accelerator type, runtime version, workers).
ACCELERATORS = {
  'v2-8': ('v2-8', 'tpu-ubuntu2204-base', 1),
  'v3-8': ('v3-8', 'tpu-ubuntu2204-base', 1),
  'v3-32': ('v3-32', 'tpu-ubuntu2204-base', 4),
  'v4-8': ('v4-8', 'tpu-ubuntu2204-base', 1),
  'v4-32': ('v4-32', 'tpu-ubuntu2204-base', 4),
  'v5e-4': ('v5litepod-4', 'v2-alpha-tpuv5-lite', 1),
  'v5e-16': ('v5litepod-16', 'v2-alpha-tpuv5-lite', 4),
  'v5p-8': ('v5p-8', 'v2-alpha-tpuv5', 1),
  'v6e-8': ('v6e-8', 'v2-alpha-tpuv6e', 1),
}
ARCHIVE = 'robust_t5x.tar.gz'
# Relative to the home directory of the remote user.
CHECKOUT, RUN = 'robust_t5x', 'robust_t5x_run'
POLL_SECONDS = 60
# States of a TPU that will not run again.
LOST = ('PREEMPTED', 'TERMINATED', 'STOPPED', 'DELETING', 'FAILED')


class LaunchError(RuntimeError):
  """A step that failed; the message says which and what to do."""


class Shell:
  """Runs commands, or prints them."""

  def __init__(self, dry_run: bool):
    self.dry_run = dry_run

  def run(self, argv: Sequence[str], check: bool = True) -> int:
    """Runs a command with its output to the terminal; returns the exit status."""
    print('$ ' + shlex.join(argv), flush=True)
    if self.dry_run:
      return 0
    status = subprocess.run(argv, check=False).returncode
    if status and check:
      raise LaunchError(f'exit status {status} of: {shlex.join(argv)}')
    return status

  def output(self, argv: Sequence[str]) -> str | None:
    """A command's standard output, or None if it failed."""
    if self.dry_run:
      print('$ ' + shlex.join(argv), flush=True)
      return None
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


class Tpu:
  """A TPU VM, or a slice of several, by its name."""

  def __init__(self, shell: Shell, name: str, zone: str, project: str | None):
    self.shell, self.name = shell, name
    self._where = [f'--zone={zone}', *([f'--project={project}'] if project else [])]

  def _gcloud(self, verb: str, *arguments: str) -> list[str]:
    return ['gcloud', 'compute', 'tpus', 'tpu-vm', verb, *arguments, *self._where]

  def state(self) -> str | None:
    """Its state, such as READY, or None if there is none."""
    return self.shell.output(self._gcloud('describe', self.name, '--format=value(state)'))

  def create(self, topology: str, spot: bool) -> None:
    """Creates it, unless it is there and running; one that was taken away is removed first."""
    state = self.state()
    if state == 'READY':
      print(f'{self.name} is there already')
      return
    if state is not None:
      if state not in LOST:
        raise LaunchError(f'{self.name} is in state {state}; wait, or delete it with: down')
      self.delete()
    accelerator, version, _ = ACCELERATORS[topology]
    flags = [f'--accelerator-type={accelerator}', f'--version={version}', *(['--spot'] if spot else [])]
    self.shell.run(self._gcloud('create', self.name, *flags))

  def delete(self) -> None:
    """Deletes it."""
    self.shell.run(self._gcloud('delete', self.name, '--quiet'))

  def ssh(self, script: str, worker: str = 'all', check: bool = True) -> int:
    """Runs a script of the Bourne shell on workers."""
    return self.shell.run(self._ssh(script, worker), check)

  def read(self, script: str, worker: str = '0') -> str | None:
    """Output of a script on a worker, or None if it failed or the worker cannot be reached."""
    return self.shell.output(self._ssh(script, worker))

  def _ssh(self, script: str, worker: str) -> list[str]:
    return self._gcloud('ssh', self.name, f'--worker={worker}', f'--command={script}')

  def upload(self, path: str) -> None:
    """Copies a file to the home directory of every worker."""
    self.shell.run(self._gcloud('scp', path, f'{self.name}:', '--worker=all'))

  def download(self, remote: str, local: str) -> None:
    """Copies a file or directory from worker 0."""
    self.shell.run(self._gcloud('scp', '--recurse', f'{self.name}:{remote}', local, '--worker=0'))


def install(tpu: Tpu, with_t5x: bool) -> None:
  """Puts the committed state of this checkout on every worker and installs it with the pinned versions."""
  archive = f'/tmp/{ARCHIVE}'
  tpu.shell.run(['git', '-C', str(ROOT), 'archive', '--format=tar.gz', f'--output={archive}', 'HEAD'])
  tpu.upload(archive)
  steps = [
    f'rm -rf {CHECKOUT}.new && mkdir {CHECKOUT}.new && tar -xzf {ARCHIVE} -C {CHECKOUT}.new',
    # The images' own Python is older than 3.11.
    'python3 -m pip install --quiet --user uv',
    f'{{ [ ! -d {CHECKOUT}/.venv ] || mv {CHECKOUT}/.venv {CHECKOUT}.new/.venv; }}',
    f'rm -rf {CHECKOUT} && mv {CHECKOUT}.new {CHECKOUT} && cd {CHECKOUT}',
    '{ [ -d .venv ] || ~/.local/bin/uv venv --quiet --seed --python 3.11 .venv; }',
    '. .venv/bin/activate',
    "python -m pip install --quiet -c constraints.txt -e '.[tpu,gcs]'",
  ]
  if with_t5x:
    steps.append('bash launch/install_t5x.sh')
  tpu.ssh(' && '.join(steps))


def check(tpu: Tpu, topology: str) -> None:
  """Fails unless every worker sees all workers and devices."""
  tpu.ssh(_remote(['preflight', '--topology', topology], topology))


def start(tpu: Tpu, arguments: Sequence[str], topology: str) -> None:
  """Starts the command on all workers, detached from this connection."""
  command = _remote(arguments, topology)
  body = f'({command}) > {RUN}.log 2>&1; echo $? > {RUN}.exit'
  tpu.ssh(f'rm -f {RUN}.exit && nohup setsid sh -c {shlex.quote(body)} > /dev/null 2>&1 < /dev/null & echo started')


def follow(tpu: Tpu) -> int | None:
  """Shows the main worker's log until the command ends; returns its exit status, or None if the TPU was lost."""
  shown = 0
  while True:
    # The status before the log: once there is one, the log is whole.
    status = tpu.read(f'cat {RUN}.exit')
    log = tpu.read(f'tail -c +{shown + 1} {RUN}.log')
    if log:
      print(log, flush=True)
      # ssh's output was stripped of its last line break.
      shown += len(log.encode()) + 1
    if tpu.shell.dry_run:
      return 0
    # A worker that fails, or does not answer, may do so because the TPU is being taken away.
    if status != '0' and (status or log is None) and tpu.state() != 'READY':
      return None
    if status:
      return int(status)
    time.sleep(POLL_SECONDS)


def run(tpu: Tpu, options: argparse.Namespace) -> int:
  """Creates, installs, checks, starts and follows; again after a preemption."""
  while True:
    tpu.create(options.topology, options.spot)
    install(tpu, options.arguments[0].startswith('t5x.'))
    check(tpu, options.topology)
    start(tpu, options.arguments, options.topology)
    status = follow(tpu)
    if status is not None:
      print(f'the command ended with exit status {status}')
      return status
    if not options.spot:
      raise LaunchError(f'{tpu.name} was lost; run the same command again to go on from the last checkpoint')
    print(f'{tpu.name} was taken away; creating it again')


def _remote(arguments: Sequence[str], topology: str) -> str:
  """The shell command that runs this project's command on a worker."""
  several = ['--multiprocess'] if ACCELERATORS[topology][2] > 1 else []
  verb, *rest = arguments
  # T5X finds the other workers by itself.
  program = [verb, *rest] if verb.startswith('t5x.') else ['robust_t5x', verb, *rest, *several]
  return f'cd {CHECKOUT} && . .venv/bin/activate && {shlex.join(["python", "-m", *program])}'


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  argv = list(argv)
  arguments = argv[argv.index('--') + 1 :] if '--' in argv else []
  argv = argv[: argv.index('--')] if '--' in argv else argv
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
  )
  verbs = parser.add_subparsers(dest='verb', required=True)
  for verb, about in (
    ('up', 'create or reuse, and install'), ('check', 'count workers and devices'), ('run', 'do it all, and follow'),
    ('logs', 'follow what runs'), ('stop', 'end what runs'), ('fetch', 'copy from worker 0'), ('down', 'delete'),
  ):  # fmt: skip
    sub = verbs.add_parser(verb, help=about, allow_abbrev=False)
    sub.add_argument('--name', required=True)
    sub.add_argument('--zone', required=True)
    sub.add_argument('--project')
    sub.add_argument('--dry-run', action='store_true', help='print the commands, run none')
    if verb in ('up', 'check', 'run'):
      sub.add_argument('--topology', required=True, choices=ACCELERATORS)
    if verb in ('up', 'run'):
      sub.add_argument('--spot', action='store_true', help='cheaper, may be taken away; run resumes by itself')
    if verb == 'up':
      sub.add_argument('--t5x', action='store_true', help='install T5X too')
    if verb == 'fetch':
      sub.add_argument('remote')
      sub.add_argument('local')
  options = parser.parse_args(argv)
  options.arguments = arguments
  _check(parser, options)
  if (options.verb == 'run') != bool(arguments):
    parser.error('run, and only run, takes a command after --, such as: -- train align_flan_t5_tpu --MODEL_DIR=...')
  return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
  """Ends with an error for what gcloud, scp or a shell would take for something else than a name."""
  for flag, pattern, allowed in (
    ('name', r'[a-z]([a-z0-9-]{0,61}[a-z0-9])?', 'small letters, digits and hyphens, a letter first, 63 at most'),
    ('zone', r'[a-z]([a-z0-9-]*[a-z0-9])?', 'a zone, such as us-central2-b'),
    (
      'project',
      r'([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]',
      "a project's id: 6 to 30 small letters, digits and hyphens",
    ),
  ):
    value = getattr(options, flag)
    if value is not None and not re.fullmatch(pattern, value):
      parser.error(f'--{flag} is {value[:80]!r}; give {allowed}')
  if options.verb == 'fetch':
    # What begins with a hyphen would be an option of scp, and what has a colon another machine's file.
    if not re.fullmatch(r'[^-\s:][^\n\r\0:]*', options.remote):
      parser.error(
        f'REMOTE is {options.remote[:80]!r}; give a path on the worker, without a colon, such as ./{CHECKOUT}/out'
      )
    if not re.fullmatch(r'[^-\s:][^\n\r\0:]*', options.local):
      parser.error(f'LOCAL is {options.local[:80]!r}; give a path here, without a colon, such as ./out')
  if any('\0' in argument for argument in options.arguments):
    parser.error('an argument behind -- holds a NUL character; leave it out')
  if options.arguments and not re.fullmatch(r'[a-z]+|t5x\.[a-z_]+', options.arguments[0]):
    parser.error(
      f'{options.arguments[0][:80]!r} is no verb of robust-t5x; write such as: -- train align_flan_t5_tpu --MODEL_DIR=...'
    )


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  options = _parse(sys.argv[1:] if argv is None else argv)
  tpu = Tpu(Shell(options.dry_run), options.name, options.zone, options.project)
  try:
    if options.verb == 'run':
      return run(tpu, options)
    if options.verb == 'up':
      tpu.create(options.topology, options.spot)
      install(tpu, options.t5x)
    elif options.verb == 'check':
      check(tpu, options.topology)
    elif options.verb == 'logs':
      return follow(tpu) or 0
    elif options.verb == 'stop':
      tpu.ssh("pkill -f '[p]ython -m (robust_t5x|t5x)'")
    elif options.verb == 'fetch':
      tpu.download(options.remote, options.local)
    else:
      tpu.delete()
  except (LaunchError, FileNotFoundError) as e:
    missing = isinstance(e, FileNotFoundError)
    print(f'error: {"no gcloud command; install the Google Cloud CLI" if missing else e}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main())
