#!/usr/bin/env bash
# Every linter, one after the other; the exit status says whether all passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=.venv/bin
failed=()

step() { # NAME COMMAND...
  local name=$1 output status
  shift
  output=$("$@" 2>&1 </dev/null)
  status=$?
  if [ "$status" = 0 ]; then
    printf '  ok      %s\n' "$name"
  else
    printf '  FAILED  %s\n%s\n\n' "$name" "$output"
    failed+=("$name")
  fi
}

printf 'lint\n'
step "ruff format" "$bin/ruff" format --check --diff .
step "ruff check" "$bin/ruff" check .
step "mypy (strict on consensus)" "$bin/mypy"
step "import rules" "$bin/lint-imports" --no-logo
step "requirements are up to date" "$bin/python" scripts/requirements.py check
step "documentation" "$bin/python" scripts/check_docs.py
if [ -n "$(find templates -name '*.html' -print -quit 2>/dev/null)" ]; then
  step "templates (djlint)" "$bin/djlint" --quiet --check --lint templates
fi
if [ -f package.json ]; then
  step "static (npm run lint)" npm run --silent lint
fi
if [ -f manage.py ]; then
  step "Django's own checks" "$bin/python" manage.py check
  step "migrations are complete" "$bin/python" manage.py makemigrations --check --dry-run
fi

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'lint: %d failed: %s\n' "${#failed[@]}" "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
printf 'lint: all passed\n'
