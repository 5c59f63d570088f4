#!/usr/bin/env bash
# All acceptance experiments, one after another; each writes its page in docs/results/.
# One that does not show all that it should ends this script badly, but only when all have run.
set -uo pipefail
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
try() { # module, name of the page, further flags
  local module=$1 page=$2
  shift 2
  "$python" -m "acceptance.$module" --results "docs/results/$page.md" "$@"
  case $? in
    0) ;;
    130) exit 130 ;; # interrupted
    *) failed+=("$module") ;;
  esac
}
try demo demo --folder "$work/demo"
try kills kills --folder "$work/kills"
try scale scale --folder "$work/scale"
try score score --folder "$work/score"
try referee referee --folder "$work/referee"
try patching patch-bench --folder "$work/patching"
try concepts patch --folder "$work/concepts"
try coverage pathways
try count count --folder "$work/count"
try unify unify --folder "$work/unify"
try phase unify-phase --folder "$work/phase"
try inject inject --folder "$work/inject" --also sweep script batch stage controls checks
try training train --folder "$work/training"
try injecting inject-cost --folder "$work/injecting"
try align align --folder "$work/align" --jobs 2
published=../shared/published/clika
if [[ -d $published ]]; then
  try rescore align-published --folder "$work/rescore" --published "$published"
fi
if ((${#failed[@]})); then
  echo "Not all is shown by: ${failed[*]}. Their pages say what." >&2
  exit 1
fi
