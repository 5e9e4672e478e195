#!/usr/bin/env bash
# Makes the bundled model from scratch, as docs/mini_model.md describes: text, vocabulary, pre-training, instruction
# tuning, alignment. Takes about an hour and a half on two cores; what is finished is not done again.
# Needs Debian's wordnet-base, or WordNet's files elsewhere: WORDNET=DIR. Results go to out/mini; INSTALL=1 copies them
# into the package.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
out=out/mini
[ -f "$out/corpus/manifest.json" ] ||
  python -m seqio_tasks.mini.corpus --wordnet "${WORDNET:-/usr/share/wordnet}" --out "$out/corpus"
[ -f "$out/spiece.model" ] || python -m seqio_tasks.mini.vocabulary --corpus "$out/corpus" --out "$out/spiece.model"
robust-t5x train pretrain_mini --CORPUS="$out/corpus" --VOCABULARY="$out/spiece.model" --MODEL_DIR="$out/pretrain"
tune() { # FROM TO SEED STEPS RATE [more arguments]
  robust-t5x train tune_mini --INITIAL_CHECKPOINT_PATH="$out/$1/model" --MODEL_DIR="$out/$2" --SEED="$3" \
    --DATA_SEED="$3" --TRAIN_STEPS="$4" --LEARNING_RATE="$5" "${@:6}"
}
# First the suite's own words, then all words of the vocabulary.
tune pretrain tune 0 6500 0.01 --VOCABULARY_WORDS=False
tune tune tune2 1 3500 0.006 --VOCABULARY_WORDS=False
tune tune2 tune3 0 3000 0.006
tune tune3 tune4 3 5000 0.008 --TUNING_RATES="{'word_after': 3, 'word_before': 3, 'first_alphabetically': 2,
  'last_word': 1.5, 'more_letters': 1.5, 'less_letters': 1.5, 'bigger_number': 0.5, 'smaller_number': 0.5}"
[ -z "${INSTALL:-}" ] || cp "$out"/tune4/model/* robust_t5x/mini/
# The adapter is trained on the package's model, whose hash it carries.
[ -z "${INSTALL:-}" ] || {
  robust-t5x train quickstart --TRAIN_STEPS=10000 --SAVE_PERIOD=1000 --MODEL_DIR="$out/adapter"
  cp "$out/adapter/adapter.safetensors" robust_t5x/mini/
  python - "$out" > "$out/provenance.json" <<'EOF'
import hashlib, json, pathlib, sys

out = pathlib.Path(sys.argv[1])
runs = {name: json.loads((out / name / 'run.json').read_text()) for name in ('pretrain', 'tune', 'tune2', 'tune3', 'tune4', 'adapter')}
files = [*pathlib.Path('robust_t5x/mini').glob('*.*'), *pathlib.Path('seqio_tasks/banks').glob('mini_*.yaml'),
         *pathlib.Path('seqio_tasks/data').glob('*.*')]
print(json.dumps({
  'corpus': json.loads((out / 'corpus/manifest.json').read_text()),
  'runs': {name: {'seed': run['seed'], 'versions': run['versions'],
                  'backbone_sha256': (run['backbone'] or {}).get('sha256')} for name, run in runs.items()},
  'sha256': {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)
             if f.name not in ('provenance.json', '__init__.py')},
}, indent=2))
EOF
  mv "$out/provenance.json" robust_t5x/mini/provenance.json
}
