"""Makes the run in this folder with lm-evaluation-harness 0.4.13 on a tiny model with random weights.

  pip install torch transformers accelerate lm-eval
  python tests/data/lm_eval/make.py

`run/` is what `lm_eval run --log_samples` writes, of tasks that hold several prompts of one dataset in each of the ways
there are: a group of siblings, a tag, a prompt in each document (`prompt_id`), and beside them a task by itself.
"""

import json
import pathlib
import shutil
import tempfile

import lm_eval
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
import tokenizers
import torch
import transformers
import yaml

HERE = pathlib.Path(__file__).parent
COLOURS = [
  {'thing': 'grass', 'options': ['green', 'red', 'deep blue'], 'right': 0},
  {'thing': 'blood', 'options': ['green', 'red', 'deep blue'], 'right': 1},
  {'thing': 'the ocean', 'options': ['green', 'red', 'deep blue'], 'right': 2},
]
SUMS = [{'sum': '1 + 2', 'result': '3'}, {'sum': '2 + 2', 'result': '4'}]
# As the harness's SCORE tasks have it: each question once for each prompt.
PROMPTS = ['Is {question} true?', 'Say whether {question} is true.']
FACTS = [
  {'question_id': number, 'question': question, 'answer_index': right, 'prompt_id': p, 'prompt': PROMPTS[p]}
  for number, (question, right) in enumerate([('water is wet', 0), ('fire is cold', 1)])
  for p in range(len(PROMPTS))
]
FACTS_CODE = """
LABELS = ['A', 'B']


def text(doc):
  return doc['prompt'].format(**doc)


def results(doc, outputs):
  answer = outputs[0].strip()[:1]
  told = (doc['question_id'], doc['prompt_id'], answer, LABELS[doc['answer_index']])
  return {f"{doc['prompt_id']}_accuracy": told, 'consistency_rate': told}


def accuracy(number):
  def mean(told):
    own = [answer == right for _, prompt, answer, right in told if prompt == number]
    return sum(own) / len(own)

  return mean


accuracy_0, accuracy_1 = accuracy(0), accuracy(1)


def consistency(told):
  return 0.5
"""


class Function(str):
  """A name of a function of `facts.py`."""


yaml.SafeDumper.add_representer(Function, lambda d, f: d.represent_scalar('!function', f'facts.{f}'))


def choice(name, text, **more):
  return {
    'task': name, 'dataset_path': 'json', 'test_split': 'test', 'output_type': 'multiple_choice', 'doc_to_text': text,
    'doc_to_choice': '{{options}}', 'doc_to_target': '{{right}}',
    'metric_list': [{'metric': 'acc'}, {'metric': 'acc_norm'}], **more,
  }  # fmt: skip


def generated(name, text, metrics, **more):
  return {
    'task': name, 'dataset_path': 'json', 'test_split': 'test', 'output_type': 'generate_until', 'doc_to_text': text,
    'generation_kwargs': {'until': ['\n'], 'max_gen_toks': 4, 'do_sample': False}, 'metric_list': metrics, **more,
  }  # fmt: skip


FILTERS = [
  {'name': 'strict', 'filter': [{'function': 'regex', 'regex_pattern': '#### (\\d+)'}, {'function': 'take_first'}]},
  {'name': 'flexible', 'filter': [{'function': 'regex', 'regex_pattern': '(\\d+)'}, {'function': 'take_first'}]},
]
MATCH = [{'metric': 'exact_match'}]
TASKS = {
  'colours': [
    choice('colour_short', 'Colour of {{thing}}:'),
    choice('colour_long', 'Which colour has {{thing}}? It is'),
    {'group': 'colour', 'task': ['colour_short', 'colour_long']},
    choice('shade', 'The shade of {{thing}} is'),
  ],
  'sums': [
    generated(
      f'sum_prompt-{i}', text, MATCH, doc_to_target='{{result}}', filter_list=FILTERS, tag='sum_tasks', num_fewshot=0
    )
    for i, text in enumerate(['{{sum}} =', 'What is {{sum}}?'], start=1)
  ],
  'facts': [
    generated(
      'score_facts', Function('text'),
      [
        {'metric': m, 'aggregation': Function(f), 'higher_is_better': True}
        for m, f in (('0_accuracy', 'accuracy_0'), ('1_accuracy', 'accuracy_1'), ('consistency_rate', 'consistency'))
      ],
      doc_to_target='answer_index', process_results=Function('results'),
    )
  ],
}  # fmt: skip
DATA = {'colours': COLOURS, 'sums': SUMS, 'facts': FACTS}


def model(directory):
  """A tiny Llama whose tokens are characters, saved with its tokenizer."""
  letters = [chr(i) for i in range(32, 127)] + ['\n']
  vocabulary = {token: i for i, token in enumerate(['<pad>', '<s>', '</s>', '<unk>', *letters])}
  tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token='<unk>'))
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split('', 'isolated')
  tokenizer.decoder = tokenizers.decoders.Fuse()
  transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, pad_token='<pad>', bos_token='<s>', eos_token='</s>', unk_token='<unk>'
  ).save_pretrained(directory)
  torch.manual_seed(1)
  config = transformers.LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2,
  )  # fmt: skip
  network = transformers.LlamaForCausalLM(config)
  with torch.no_grad():
    for parameter in network.parameters():
      parameter.mul_(12)
  network.save_pretrained(directory)


def main():
  with tempfile.TemporaryDirectory() as folder:
    place = pathlib.Path(folder)
    (place / 'tasks').mkdir()
    (place / 'tasks' / 'facts.py').write_text(FACTS_CODE)
    for name, tasks in TASKS.items():
      data = place / f'{name}.jsonl'
      data.write_text(''.join(json.dumps(row) + '\n' for row in DATA[name]))
      for task in tasks:
        if 'group' not in task:
          task = task | {'dataset_kwargs': {'data_files': {'test': str(data)}}}
        text = yaml.safe_dump(task, sort_keys=False)
        (place / 'tasks' / f'{task.get("group") or task["task"]}.yaml').write_text(text)
    model(place / 'tiny')
    tracker = EvaluationTracker(output_path=str(place / 'out'))
    found = lm_eval.simple_evaluate(
      model='hf', model_args={'pretrained': str(place / 'tiny'), 'dtype': 'float32'}, device='cpu', batch_size=4,
      tasks=['colour', 'shade', 'sum_tasks', 'score_facts'], log_samples=True, evaluation_tracker=tracker,
      task_manager=TaskManager(include_path=str(place / 'tasks')),
    )  # fmt: skip
    samples = found.pop('samples')
    tracker.save_results_aggregated(results=found, samples=samples)
    for task, rows in samples.items():
      tracker.save_results_samples(task_name=task, samples=rows)
    shutil.rmtree(HERE / 'run', ignore_errors=True)
    (HERE / 'run').mkdir()
    for file in (place / 'out').glob('*/*'):
      # Paths and names of the machine that this ran on are nobody's concern.
      text = file.read_text().replace(str(place / 'tiny'), 'tiny').replace(str(place), 'somewhere')
      if file.suffix == '.json':
        record = json.loads(text)
        for field in ('pretty_env_info', 'git_hash', 'total_evaluation_time_seconds', 'cpu_name'):
          record.pop(field, None)
        text = json.dumps(record | {'model_name_sanitized': 'tiny'}, indent=1, ensure_ascii=False) + '\n'
      (HERE / 'run' / file.name).write_text(text)


if __name__ == '__main__':
  main()
