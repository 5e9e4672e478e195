"""Reads compiled programs: which collectives they run, how often, and how many bytes these move.

XLA's own cost analysis counts the body of a loop once and says nothing of traffic; the text of the program has both.
"""

from collections.abc import Iterator
import dataclasses
import math
import re

_KINDS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
_BYTES = {'pred': 1, 's8': 1, 'u8': 1, 's16': 2, 'u16': 2, 'bf16': 2, 'f16': 2, 's32': 4, 'u32': 4, 'f32': 4, 's64': 8,
          'u64': 8, 'f64': 8}  # fmt: skip
_SHAPE = re.compile(r'\b([a-z]+\d*)\[([\d,]*)\]')
_COMPUTATION = re.compile(r'^(?:ENTRY )?%?([\w.\-]+) \(.*\{$')
_INSTRUCTION = re.compile(r'^\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ([a-z][\w\-]*)\((.*)$')


@dataclasses.dataclass(frozen=True)
class Collective:
  """A collective operation of a compiled program.

  Attributes:
    kind: such as 'all-reduce'.
    shapes: (element type, dimensions) of what each device ends up with.
    group: devices that take part in each of its groups.
    times: how often a run of the program executes it; 1 for a loop of unknown length.
  """

  kind: str
  shapes: tuple[tuple[str, tuple[int, ...]], ...]
  group: int
  times: int

  @property
  def result_bytes(self) -> int:
    """Bytes that each device ends up with, each time."""
    return sum(_BYTES.get(t, 4) * math.prod(d) for t, d in self.shapes)

  @property
  def sent_bytes(self) -> float:
    """Bytes that each device sends in a run of the program, with the ring algorithms."""
    others = (self.group - 1) / self.group
    factor = {'all-reduce': 2 * others, 'reduce-scatter': self.group - 1, 'collective-permute': 1.0}.get(
      self.kind, others
    )
    return self.result_bytes * factor * self.times


def collectives(text: str, devices: int) -> list[Collective]:
  """The collectives of a compiled program.

  Args:
    text: `compiled.as_text()`.
    devices: devices that the program runs on, the size of a group that the text does not spell out.
  """
  bodies = _computations(text)
  times = _times(bodies)
  found = []
  for name, lines in bodies.items():
    for result, opcode, rest in _instructions(lines):
      kind = opcode.removesuffix('-start')
      if kind not in _KINDS or not times.get(name):
        continue
      shapes = [(t, tuple(int(n) for n in d.split(',') if n)) for t, d in _SHAPE.findall(result)]
      if opcode.endswith('-start') and kind != 'all-reduce':
        shapes = [s for s in shapes if s[1]]
        shapes = shapes[len(shapes) // 2 :]  # such an operation gives back what it was given, then its result
      group = _group_size(rest, devices)
      if group > 1:
        found.append(Collective(kind, tuple(shapes), group, times[name]))
  return found


def _computations(text: str) -> dict[str, list[str]]:
  """Name -> lines of every computation; the entry is called ''."""
  bodies: dict[str, list[str]] = {}
  lines: list[str] | None = None
  for line in text.splitlines():
    header = _COMPUTATION.match(line)
    if header:
      lines = bodies.setdefault('' if line.startswith('ENTRY') else header[1], [])
    elif lines is not None:
      lines.append(line)
  return bodies


def _instructions(lines: list[str]) -> Iterator[tuple[str, str, str]]:
  """(result's shape, operation, operands and attributes) of each line that is an instruction."""
  for line in lines:
    match = _INSTRUCTION.match(line)
    if match:
      yield match[1], match[2], match[3]


def _times(bodies: dict[str, list[str]]) -> dict[str, int]:
  """How often each computation runs; loops multiply, and 1 stands for an unknown number of turns."""
  times = {'': 1}
  todo = ['']
  while todo:
    name = todo.pop()
    for _, opcode, rest in _instructions(bodies.get(name, [])):
      turns = 1
      if opcode == 'while':
        condition = re.search(r'condition=%?([\w.\-]+)', rest)
        turns = _turns(bodies.get(condition[1], [])) if condition else 1
      for many, one in re.findall(
        r'(?:body|condition|calls|to_apply|branch_computations)=(?:\{([^}]*)\}|%?([\w.\-]+))', rest
      ):
        for called in re.findall(r'[\w.\-]+', many or one):
          if called in bodies and called not in times:
            times[called] = times[name] * turns
            todo.append(called)
  return times


def _turns(condition: list[str]) -> int:
  """Turns of a loop that counts from 0 up to a constant; 1 for any other."""
  text = '\n'.join(condition)
  limits = re.findall(r's32\[\]\S* constant\((\d+)\)', text)
  counts = re.search(r'ROOT .*(?:direction=LT|fusion\()', text)
  return int(limits[0]) if len(limits) == 1 and counts else 1


def _group_size(rest: str, devices: int) -> int:
  """Devices in each replica group of a collective."""
  listed = re.search(r'replica_groups=\{\{([\d,]*)\}', rest)
  if listed:
    return len(listed[1].split(','))
  iota = re.search(r'replica_groups=\[(\d+),(\d+)\]', rest)
  if iota:
    return int(iota[2])
  mesh = re.search(r'replica_groups=mesh\[(.*?)\][^{]*\{(.*?)\}', rest)
  if mesh:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
    return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", mesh[2]))
  if 'source_target_pairs=' in rest:
    return 2
  return devices
