#!/usr/bin/env bash
# The experiments of docs/results.md, on the bundled model: alignment and its baseline over three seeds, what trains, how
# many paraphrases, objectives, tasks that alignment never saw, and LMentry. Takes some four hours on two cores; what is
# finished is not done again. Run inside the project's environment.
#   benchmarks/alignment.sh OUT [LMENTRY_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
objectives=gin/objectives
sweep=(robust-t5x sweep align_mini --eval mini)
# The settings of gin/recipes/train/quickstart.gin.
lora=(--gin_file=gin/adapters/lora_all.gin --LORA_RANK=32 --LEARNING_RATE=0.004 --ALIGNMENT_WEIGHT=1.0
  --TRAIN_STEPS=2500)
aligned=("${lora[@]}" --no_baseline --grid gin_file=$objectives/distil_states.gin)
two_hundred=(--ALIGNMENT_COLLECTIONS="['mini_alignment', 'mini_paraphrases']")
seven="['first_word', 'word_after', 'first_letter', 'more_letters', 'bigger_number', 'count_words', 'odd_one_out']"
others="['last_word', 'word_before', 'last_letter', 'less_letters', 'smaller_number', 'first_alphabetically']"

"${sweep[@]}" --out "$out/main" "${lora[@]}" --seeds "${SEEDS:-0,1,2}" \
  --grid gin_file=$objectives/distil_states.gin,$objectives/likelihood.gin
"${sweep[@]}" --out "$out/long" "${aligned[@]}" --TRAIN_STEPS=5000
"${sweep[@]}" --out "$out/fewer" "${aligned[@]}" "${two_hundred[@]}"
"${sweep[@]}" --out "$out/transfer" "${aligned[@]}" --TRAIN_STEPS=1250 --ALIGNMENT_TASKS="$seven"
"${sweep[@]}" --out "$out/transfer_held" "${aligned[@]}" --TRAIN_STEPS=1250 --ALIGNMENT_TASKS="$seven" --HELD_TASKS="$others"

# The first settings: fewer paraphrases, additions to queries and values only, fewer steps, distillation of distributions.
first=("${sweep[@]}" --no_baseline)
narrow=(--gin_file=gin/adapters/lora.gin --LEARNING_RATE=0.01 --TRAIN_STEPS=1200)
"${first[@]}" --out "$out/first" "${two_hundred[@]}" "${narrow[@]}" --seeds "${SEEDS:-0,1,2}" \
  --grid gin_file=$objectives/distil_reference.gin,$objectives/likelihood.gin
"${first[@]}" --out "$out/full" "${two_hundred[@]}" --gin_file=gin/adapters/full.gin --LEARNING_RATE=0.001 \
  --TRAIN_STEPS=1200 --grid gin_file=$objectives/kl.gin
"${first[@]}" --out "$out/few" "${narrow[@]}" --ALIGNMENT_COLLECTIONS="['mini_alignment']" \
  --grid gin_file=$objectives/distil_reference.gin
"${first[@]}" --out "$out/prefix" "${two_hundred[@]}" --gin_file=gin/adapters/prefix.gin --LEARNING_RATE=0.1 \
  --TRAIN_STEPS=1200 --grid gin_file=$objectives/distil_reference.gin
"${first[@]}" --out "$out/objectives" "${two_hundred[@]}" --gin_file=gin/adapters/prefix.gin \
  --eval.MIXTURES="['mini_eval_observed', 'mini_eval_development']" --eval.SPLIT=validation --eval.NUM_EXAMPLES=10 \
  --grid gin_file=$objectives/likelihood.gin,$objectives/kl.gin,$objectives/distil_reference.gin,$objectives/jensen_shannon.gin,$objectives/info_nce.gin,$objectives/group_dro.gin

before=("$out"/main/baseline-*/)
for name in distil_states likelihood; do
  robust-t5x report "${before[0]}" "$out"/main/trials/objectives=$name,*/eval-* --out "$out/report/$name"
done
robust-t5x compare "$out"/main/trials/objectives=likelihood,SEED=0-*/eval-* \
  "$out"/main/trials/objectives=distil_states,SEED=0-*/eval-* --out "$out/report/alignment_against_none"
for name in long full fewer transfer transfer_held first few prefix; do
  robust-t5x report "${before[0]}" "$out/$name"/trials/*/eval-* --out "$out/report/$name"
done
robust-t5x report "$out"/objectives/trials/objectives={likelihood,kl,distil_reference,jensen_shannon,info_nce,group_dro}-*/eval-* \
  --out "$out/report/objectives"

[ -n "${2:-}" ] || exit 0
lmentry=(robust-t5x eval lmentry --LMENTRY_DIR="$2")
"${lmentry[@]}" --LABEL='without adapter' --OUTPUT_DIR="$out/lmentry/before"
for trial in "$out"/main/trials/objectives=distil_states,* "$out"/long/trials/*; do
  "${lmentry[@]}" --LABEL='with aligned adapter' --ADAPTER="$trial/train/adapter.safetensors" \
    --OUTPUT_DIR="$out/lmentry/$(basename "$trial")"
done
robust-t5x report "$out/lmentry/before" "$out"/lmentry/objectives=distil_states,* --out "$out/report/lmentry"
robust-t5x report "$out/lmentry/before" "$out"/lmentry/objectives=distil_states-* --out "$out/report/lmentry_long"
