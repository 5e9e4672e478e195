"""Reads CSV, JSON, JSON Lines, Parquet and Arrow files so that every fault is told by its line or row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import csv
import io
import json
import os
import pathlib
import re
from typing import Any

from seqio_tasks.errors import UserError, shorten


def entries(directory: str | os.PathLike[str], pattern: str = '*') -> list[pathlib.Path]:
  """What stands in a directory by a pattern, sorted; none if there is no directory.

  What is hidden, or lies in a hidden folder, is no data: macOS, editors and downloads that were broken off leave such files.

  Args:
    directory: to look in.
    pattern: of pathlib, such as '*.csv', or '**/*.csv' for all that is below.

  Raises:
    TableError: if the directory, or for '**' a folder in it, cannot be read, which pathlib takes for an empty one.
  """
  root = pathlib.Path(directory)
  if root.is_dir():
    for _, folders, _ in os.walk(root, onerror=_refuse):
      folders[:] = [name for name in folders if '**' in pattern and not name.startswith('.')]
  found = root.glob(pattern)
  return sorted(path for path in found if not any(part.startswith('.') for part in path.relative_to(root).parts))


class TableError(UserError):
  """A file that cannot be read; the message names file, line and cure."""


def _refuse(fault: OSError) -> None:
  raise TableError(
    f'{fault.filename}: cannot be read ({fault.strerror}); change its permissions, or name another directory'
  )


def read_text(path: str | os.PathLike[str]) -> str:
  """The text of a UTF-8 file, with or without byte order mark; TableError if it is none."""
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError as e:
    raise TableError(f'{path}: cannot be read ({e.strerror}); name an existing file') from e
  if 0 in data:
    line = data.count(b'\n', 0, data.index(0)) + 1
    raise TableError(f'{path}: line {line}: holds a byte 0, as UTF-16 and damaged files do; save the file as UTF-8')
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError as e:
    line = data.count(b'\n', 0, e.start) + 1
    raise TableError(f'{path}: line {line}: byte {e.object[e.start]:#04x} is not UTF-8; save the file as UTF-8') from e


def read_csv(
  path: str | os.PathLike[str],
  required: Sequence[str] = (),
  columns: Sequence[str] | None = None,
  bad_row: Callable[[str], None] | None = None,
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
  """Reads a CSV file; every cell is text as it stands, "NA" and "None" included.

  Args:
    path: the file.
    required: columns that there must be.
    columns: names of the columns of a file without a heading; by default the first row has them.
    bad_row: called with what is wrong with a row, which is then left out; by default that is an error.

  Returns:
    the columns, and the line number and cells of every row.

  Raises:
    TableError: naming file, line and cure.
  """
  rows = _csv_rows(path, required, columns, bad_row)
  header = next(rows)[1]
  return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows]


def read_columns(path: str | os.PathLike[str], required: Sequence[str] = ()) -> tuple[list[int], dict[str, list[str]]]:
  """Reads a CSV file as `read_csv` does, column by column; a text that stands often is kept once.

  Args:
    path: the file.
    required: columns that there must be.

  Returns:
    the line number of every row, and the cells of every column.

  Raises:
    TableError: naming file, line and cure.
  """
  rows = _csv_rows(path, required)
  header = next(rows)[1]
  lines: list[int] = []
  parts: list[list[str]] = [[] for _ in header]
  known: dict[str, str] = {}
  for line, cells in rows:
    lines.append(line)
    for part, cell in zip(parts, cells, strict=True):
      part.append(known.setdefault(cell, cell))
  return lines, dict(zip(header, parts, strict=True))


def _csv_rows(
  path: str | os.PathLike[str],
  required: Sequence[str] = (),
  columns: Sequence[str] | None = None,
  bad_row: Callable[[str], None] | None = None,
) -> Iterator[tuple[int, list[str]]]:
  """The columns, then line number and cells of every row, as many as there are columns; see `read_csv`."""
  reader = csv.reader(io.StringIO(read_text(path), newline=''), strict=True)
  header = list(columns) if columns is not None else None
  if header is not None:
    yield 0, header
  start = 1
  try:
    for cells in reader:
      line, start = start, reader.line_num + 1
      if not cells:
        continue
      if header is None:
        header = [c.strip() for c in cells]
        doubled = sorted({c for c in header if header.count(c) > 1})
        missing = [c for c in required if c not in header]
        if doubled:
          raise TableError(f'{path}: line {line}: the columns {shorten(doubled, 200)} stand twice; rename them')
        if missing:
          raise TableError(f'{path}: line {line}: has no column {missing}; it has {shorten(header, 200)}')
        yield line, header
      elif len(cells) != len(header):
        fault = (
          f'{path}: line {line}: has {len(cells)} cells where there are {len(header)} columns; give each row equally '
          'many cells, and quote cells with commas'
        )
        if bad_row is None:
          raise TableError(fault)
        bad_row(fault)
      else:
        yield line, cells
  except csv.Error as e:
    long = 'field larger' in str(e)
    cure = f'close every quote that is opened there{", or shorten the cell" if long else ""}'
    raise TableError(f'{path}: line {start}: is not CSV ({e}); {cure}') from e
  if header is None:
    raise TableError(f'{path}: is empty; give it a row of column names and rows of cells')


def read_jsonl(
  path: str | os.PathLike[str], bad_row: Callable[[str], None] | None = None
) -> list[tuple[int, dict[str, Any]]]:
  """Reads a JSON Lines file: line number and object of every line that is not empty.

  Raises:
    TableError: naming file, line and cure, unless `bad_row` takes the fault; also if the file is one list.
  """
  rows = []
  whole = read_text(path)
  if whole.lstrip().startswith('['):  # its last object stands by itself on a line and would be all that is read
    raise TableError(
      f'{path}: line 1: begins a JSON list; write each of its objects on a line of its own, without commas between'
    )
  for line, text in enumerate(whole.split('\n'), start=1):
    if not text.strip():
      continue
    try:
      value = parse_json(text)
      fault = None if isinstance(value, dict) else f'is {type(value).__name__}, not an object'
    except ValueError as e:
      fault = f'is not JSON ({e})'
    if fault is None:
      rows.append((line, value))
    elif bad_row is None:
      raise TableError(f'{path}: line {line}: {fault}; each line must be one JSON object')
    else:
      bad_row(f'{path}: line {line}: {fault}; each line must be one JSON object')
  return rows


def arrow_files(path: str | os.PathLike[str]) -> dict[str, list[str]]:
  """Split -> its Parquet or Arrow files, of a file or a dataset directory as Hugging Face has them.

  A file is a split without a name, and so is a directory that `save_to_disk` wrote of one split. In directories of several
  splits their names are those of folders (`save_to_disk`), begin those of files (`train-00000-of-00002.parquet`) or end them (the
  library's cache, `mine-train.arrow`). Hidden files are none.

  Raises:
    TableError: if one of several files that belong together is missing, or a split has several sets of files.
  """
  if os.path.isfile(path):
    return {'': [str(path)]} if str(path).endswith(('.parquet', '.arrow')) else {}
  root = pathlib.Path(path)
  found: dict[str, list[str]] = {}
  for file in sorted([*entries(root, '**/*.arrow'), *entries(root, '**/*.parquet')]):
    if file.name.startswith('cache-'):  # of a map that the datasets library made
      continue
    if part := re.fullmatch(r'(.*-)(\d+)-of-(\d+)(\.\w+)', file.name):
      names = [f'{part[1]}{i:0{len(part[2])}}-of-{part[3]}{part[4]}' for i in range(int(part[3]))]
      missing = [name for name in names if not file.with_name(name).exists()]
      if missing:
        raise TableError(f'{file.with_name(missing[0])}: is missing beside {file.name}; fetch all {len(names)} files')
    whole = re.sub(r'-\d+-of-\d+$', '', file.stem)
    if file.suffix == '.parquet':
      split = whole
    elif file.parent == root:
      split = whole.rpartition('-')[2] if '-' in whole else ''
    else:
      split = file.parent.name
    found.setdefault(split, []).append(str(file))
  for split, files in found.items():
    places = dict.fromkeys(re.sub(r'\d+-of-', 'of-', file) for file in files)
    if len(places) > 1:
      raise TableError(
        f'{path}: has several sets of files of the split {split or "without a name"!r}, such as {next(iter(files))} and '
        f'{files[-1]}; name the directory or file of one of them'
      )
  return found


def read_arrow(path: str | os.PathLike[str], with_bytes: bool = False) -> list[tuple[int, dict[str, Any]]]:
  """Reads a Parquet or Arrow file: number and cells of every row.

  A field of a structure is a column STRUCTURE.FIELD, a class label is its name (None where it is the number of none, such as the -1 of
  splits whose labels are kept back), and columns of bytes are left out.

  Args:
    path: the file.
    with_bytes: whether columns of bytes are kept.

  Raises:
    TableError: if it is damaged.
  """
  import pyarrow as pa
  from pyarrow import parquet

  try:
    if str(path).endswith('.parquet'):
      table = parquet.read_table(path, page_checksum_verification=True)
    else:
      with pa.OSFile(str(path)) as f:
        stream = f.read(6) != b'ARROW1'
        f.seek(0)
        reader = pa.ipc.open_stream(f) if stream else pa.ipc.open_file(f)
        table = reader.read_all()
    table.validate(full=True)
    labels = _class_labels(table.schema.metadata)
    while any(pa.types.is_struct(field.type) for field in table.schema):
      table = table.flatten()
    doubled = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if doubled:
      raise TableError(f'{path}: the columns {shorten(doubled, 200)} stand twice; rename them')
    binary = pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view
    kept = [f.name for f in table.schema if with_bytes or not any(is_one(f.type) for is_one in binary)]
    rows = table.select(kept).to_pylist()
    narrow = [f.name for f in table.schema if f.name in kept and _is_narrow(getattr(f.type, 'value_type', f.type))]
  except TableError:
    raise
  except (pa.ArrowException, OSError, ValueError) as e:
    raise TableError(f'{path}: is not a whole Parquet or Arrow file ({shorten(e)}); fetch or write it again') from e
  for row in rows:
    for column, names in labels.items():
      value = row.get(column)
      if isinstance(value, int):
        row[column] = names[value] if 0 <= value < len(names) else None
    for column in narrow:
      row[column] = _shortest(row[column])
  return list(enumerate(rows, start=1))


def _is_narrow(kind: Any) -> bool:
  import pyarrow as pa

  return pa.types.is_float16(kind) or pa.types.is_float32(kind)


def _shortest(value: Any) -> Any:
  """A number of 32 bits or less as the shortest one that it is, 0.1 and not 0.10000000149011612; lists of such, too."""
  import numpy as np

  if isinstance(value, list):
    return [_shortest(v) for v in value]
  return float(str(np.float32(value))) if isinstance(value, float) else value


def _class_labels(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
  """Column -> names of the classes, as Hugging Face's datasets keeps them in a file's schema."""
  said = json.loads((metadata or {}).get(b'huggingface', b'{}'))
  try:
    features = said['info']['features']
    return {
      name: [str(label) for label in feature['names']]
      for name, feature in features.items()
      if isinstance(feature, dict) and feature.get('_type') == 'ClassLabel'
    }
  except (KeyError, TypeError, AttributeError):
    return {}


def read_json(path: str | os.PathLike[str], cure: str = 'write it anew') -> Any:
  """The value in a JSON file.

  Args:
    path: the file.
    cure: what to do about a file that is none.

  Raises:
    TableError: naming file and cure.
  """
  try:
    return parse_json(read_text(path))
  except TableError:
    raise
  except ValueError as e:
    raise TableError(f'{path}: is not JSON ({e}); {cure}') from e


def parse_json(text: str) -> Any:
  """The value of a JSON text.

  Raises:
    ValueError: if it is none, is nested too deep to be read, has a key twice, or holds half of a surrogate pair, which no
      file could take.
  """
  try:
    value = json.loads(text, object_pairs_hook=_unique)
  except RecursionError as e:
    raise ValueError('it is nested too deep') from e
  if '\\u' in text:
    json.dumps(value, ensure_ascii=False).encode()
  return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """An object, of which JSON's own reader would keep the last value of each key without a word."""
  made = dict(pairs)
  if len(made) < len(pairs):
    keys = [key for key, _ in pairs]
    raise ValueError(f'the key {shorten(next(k for k in keys if keys.count(k) > 1))!r} stands twice in an object')
  return made
