"""Writes files laid out as LMentry's, with texts of our own."""

import csv
import json

COLUMNS = (
  'prompt idx,default adapter,method,language style,prompt template,correct,adapter format,adapter length,samples'
).split(',')


def write_instances(directory, task, examples, defaults=('Default: {words} / {category}',)):
  folder = directory / 'instances'
  folder.mkdir(exist_ok=True)
  content = {
    'benchmark': 'LMentry',
    'task': task,
    'more_info': {'input_templates': list(defaults)},
    'examples': {str(i + 1): e | {'more_info': {}} for i, e in enumerate(examples)},
  }
  (folder / f'{task}.json').write_text(json.dumps(content))


def write_phrasings(directory, task, rows, columns=COLUMNS):
  folder = directory / 'paraphrases'
  folder.mkdir(exist_ok=True)
  with (folder / f'{task}.csv').open('w', newline='') as f:
    writer = csv.DictWriter(f, columns, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)


def phrasing(index, template, correct='1', method='rephrase'):
  return {
    'prompt idx': index,
    'prompt template': template,
    'correct': correct,
    'method': method,
    'samples': 100,
  }
