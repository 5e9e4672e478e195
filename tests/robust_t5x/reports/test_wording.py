"""The section on what wording does."""

import json
import pathlib

from helpers import write_evaluation

from robust_t5x.analysis.wording import effects
from robust_t5x.reports import wording
from robust_t5x.reports.inputs import read


def test_features_stand_with_their_effects_where_enough_phrasings_differ(evaluations, tmp_path):
  assert wording.section(read([evaluations[0]])) is None
  where = write_evaluation(tmp_path / 'a', 'm', {'observed': 0.6, 'unobserved': 0.6})
  path = pathlib.Path(where) / 'run.json'
  record = json.loads(path.read_text())
  record['instructions'] = {key: f'{"Please" * (i % 2)} say {{x}}' for i, key in enumerate(record['instructions'])}
  path.write_text(json.dumps(record))
  inputs = read([where])
  section = wording.section(inputs)
  found = effects(inputs.of('m'), 'm')
  assert [row[1:3] for row in section.tables[0].rows] == [(e.feature, f'{e.differing} of {e.phrasings}') for e in found]
  assert {row[1] for row in section.tables[0].rows} == {'10 words more', 'polite'}
  assert section.notes[0].startswith('m: ')
