"""Files that are written whole or not at all."""

import os

from etils import epath


def write_atomically(path: str, content: str | bytes) -> None:
  """Writes a file, text as UTF-8, so that a reader finds the old one or the new one, never a part."""
  data = content.encode() if isinstance(content, str) else content
  if '://' in path:  # a bucket's objects appear whole
    epath.Path(path).write_bytes(data)
    return
  temporary = f'{path}.{os.getpid()}.tmp'
  with open(temporary, 'wb') as f:
    f.write(data)
  os.replace(temporary, path)
