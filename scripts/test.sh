#!/usr/bin/env bash
# Run the tests in phases, each with two at a time: fast ones, JavaScript, real processes, the browser.
# test.sh fast | all | controls; fast leaves the long searches of the simulation out, too, and controls is the
# browser's part in full, after which no control may be left that nobody used. Ends with one line of sums.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
# Thousands of processes are started: compiled once, for this run, and nothing is left in the tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$results/compiled
started=$SECONDS
broken=()

phase() { # NAME COMMAND...
  local name=$1
  shift
  printf '\n--- %s\n' "$name"
  "$@" </dev/null || broken+=("$name")
}

py() { # NAME MARKERS EXTRA...
  local name=$1 markers=$2
  shift 2
  phase "$name" .venv/bin/python -m pytest -q -p no:cacheprovider -m "$markers" --junitxml="$results/$name.xml" "$@"
}

parallel=(-n 2 --dist worksteal)
if [ "${1:-all}" = fast ]; then
  py fast "not process and not browser and not long" "${parallel[@]}"
elif [ "$1" = controls ]; then
  export BROWSER_CONTROLS="$results/controls"
  py browser browser "${parallel[@]}"
  phase controls .venv/bin/python scripts/check_controls.py "$BROWSER_CONTROLS"
else
  py fast "not process and not browser" "${parallel[@]}"
  [ -f package.json ] && phase javascript npm test --silent
  # Banks of nine processes wait for timers and disks more than they work, so two of them share a machine well.
  py process process "${parallel[@]}"
  py browser "browser and not controls" "${parallel[@]}"
fi

.venv/bin/python scripts/test_summary.py "$results" "$((SECONDS - started))" "${broken[@]}"
