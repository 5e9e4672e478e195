"""Results of any origin: what cannot be read is said."""

import pytest

from robust_t5x.results.reading import read
from robust_t5x.results.schema import ResultsError


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (lambda d: None, 'holds no evaluation'),
    (lambda d: (d / 'run.json').write_text('{'), 'not valid JSON'),
    (lambda d: (d / 'run.json').write_text('{"finished": "now", "label": "m"}'), 'no results.parquet'),
  ],
)
def test_unreadable_results(tmp_path, make, message):
  make(tmp_path)
  with pytest.raises(ResultsError, match=message):
    read(str(tmp_path))
