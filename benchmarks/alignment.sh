#!/usr/bin/env bash
# The experiments of docs/results.md, on the bundled model: alignment and its baseline over three seeds, what trains, how
# many paraphrases, objectives, tasks that alignment never saw, and LMentry. Takes about two hours on two cores; what is finished is
# not done again. Run inside the project's environment.
#   benchmarks/alignment.sh OUT [LMENTRY_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
objectives=gin/objectives
sweep=(robust-t5x sweep --gin_file=gin/runs/align_mini.gin --eval_gin_file=gin/runs/eval_mini.gin
  --gin.TRAIN_STEPS="${TRAIN_STEPS:-1200}")
lora=(--gin_file=gin/prompts/lora.gin --gin.LEARNING_RATE=0.01)

"${sweep[@]}" --out "$out/main" "${lora[@]}" --seeds "${SEEDS:-0,1,2}" \
  --grid gin_file=$objectives/distil_reference.gin,$objectives/likelihood.gin
"${sweep[@]}" --out "$out/full" --no_baseline --gin_file=gin/prompts/full.gin --gin.LEARNING_RATE=0.001 \
  --grid gin_file=$objectives/kl.gin
"${sweep[@]}" --out "$out/prefix" --no_baseline --gin_file=gin/prompts/prefix.gin --gin.LEARNING_RATE=0.1 \
  --grid gin_file=$objectives/distil_reference.gin
"${sweep[@]}" --out "$out/few" --no_baseline "${lora[@]}" --gin.ALIGNMENT_COLLECTIONS="['mini_alignment']" \
  --grid gin_file=$objectives/distil_reference.gin
"${sweep[@]}" --out "$out/transfer" --no_baseline "${lora[@]}" --grid gin_file=$objectives/distil_reference.gin \
  --gin.ALIGNMENT_TASKS="['first_word', 'word_after', 'first_letter', 'more_letters', 'bigger_number', 'count_words', 'odd_one_out']"

robust-t5x sweep --out "$out/objectives" --no_baseline --gin_file=gin/runs/align_mini.gin --gin_file=gin/prompts/prefix.gin \
  --eval_gin_file=gin/runs/eval_mini.gin --eval.MIXTURES="['mini_eval_observed', 'mini_eval_development']" \
  --eval.SPLIT="'validation'" --eval.NUM_EXAMPLES=10 \
  --grid gin_file=$objectives/likelihood.gin,$objectives/kl.gin,$objectives/distil_reference.gin,$objectives/jensen_shannon.gin,$objectives/info_nce.gin,$objectives/group_dro.gin

before=("$out"/main/baseline-*/)
for name in distil_reference likelihood; do
  robust-t5x report "${before[0]}" "$out"/main/cells/objectives=$name,*/eval-* --out "$out/report/$name"
done
robust-t5x compare "$out"/main/cells/objectives=likelihood,SEED=0-*/eval-* \
  "$out"/main/cells/objectives=distil_reference,SEED=0-*/eval-* --out "$out/report/alignment_against_none"
for name in full prefix few transfer; do
  robust-t5x report "${before[0]}" "$out/$name"/cells/*/eval-* --out "$out/report/$name"
done

robust-t5x report "$out"/objectives/cells/objectives={likelihood,kl,distil_reference,jensen_shannon,info_nce,group_dro}-*/eval-* \
  --out "$out/report/objectives"

[ -n "${2:-}" ] || exit 0
lmentry=(robust-t5x eval --gin_file=gin/runs/eval_lmentry.gin --gin.LMENTRY_DIR="'$2'")
"${lmentry[@]}" --gin.LABEL="'without prompt'" --gin.OUTPUT_DIR="'$out/lmentry/before'"
after=()
for cell in "$out"/main/cells/objectives=distil_reference,*; do
  "${lmentry[@]}" --gin.LABEL="'with aligned prompt'" --gin.PROMPT="'$cell/train/prompt.safetensors'" \
    --gin.OUTPUT_DIR="'$out/lmentry/$(basename "$cell")'"
  after+=("$out/lmentry/$(basename "$cell")")
done
robust-t5x report "$out/lmentry/before" "${after[@]}" --out "$out/report/lmentry"
