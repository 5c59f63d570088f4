#!/usr/bin/env bash
# All acceptance experiments, one after another; each writes its page in docs/results/.
set -euo pipefail
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m acceptance.demo --folder "$work/demo" --results docs/results/demo.md
"$python" -m acceptance.kills --folder "$work/kills" --results docs/results/kills.md
"$python" -m acceptance.scale --folder "$work/scale" --results docs/results/scale.md
"$python" -m acceptance.score --folder "$work/score" --results docs/results/score.md
"$python" -m acceptance.referee --folder "$work/referee" --results docs/results/referee.md
"$python" -m acceptance.patching --folder "$work/patching" --results docs/results/patch-bench.md
"$python" -m acceptance.concepts --folder "$work/concepts" --results docs/results/patch.md
"$python" -m acceptance.coverage --results docs/results/pathways.md
"$python" -m acceptance.count --folder "$work/count" --results docs/results/count.md
"$python" -m acceptance.unify --folder "$work/unify" --results docs/results/unify.md
"$python" -m acceptance.phase --folder "$work/phase" --results docs/results/unify-phase.md
"$python" -m acceptance.inject --folder "$work/inject" --results docs/results/inject.md \
  --also sweep script batch stage checks
"$python" -m acceptance.training --folder "$work/training" --results docs/results/train.md
"$python" -m acceptance.injecting --folder "$work/injecting" --results docs/results/inject-cost.md
"$python" -m acceptance.align --folder "$work/align" --results docs/results/align.md
