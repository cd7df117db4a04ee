#!/usr/bin/env bash
# Install what a make target needs. setup.sh venv [REQUIREMENTS] | node | chromium
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Trust what the system trusts, as pip and curl do (older versions of uv know the second name only).
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} UV_NATIVE_TLS=${UV_NATIVE_TLS:-true}

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 2; }

have_uv() { command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; }

usable_python() { # 3.11 or later, and it runs
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
    if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && usable_python "$name"; then
      command -v "$name"
      return
    fi
  done
}

apt_install() { # root on a Debian only
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  say "installing $* with apt-get"
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 </dev/null
}

make_venv() {
  if [ -e .venv ] && ! usable_python .venv/bin/python; then
    say "the environment in .venv is incomplete or older than Python 3.11; making it anew"
    rm -rf .venv
  fi
  [ -e .venv ] && return
  local python
  python=$(find_python)
  say "making .venv"
  if have_uv; then
    uv venv --quiet --python "${python:->=3.11}" .venv || fail "uv could not make .venv (see above)"
  else
    [ -n "$python" ] || fail "Python 3.11 or later is needed and was not found; set PYTHON=/path/to/python3"
    if ! "$python" -m venv .venv 2>/dev/null; then
      rm -rf .venv
      apt_install python3-venv && "$python" -m venv .venv ||
        { rm -rf .venv; fail "$python cannot make virtual environments; on Debian: apt-get install python3-venv"; }
    fi
  fi
}

install_venv() {
  local requirements=$1
  make_venv
  [ -n "$requirements" ] || return 0
  say "installing $requirements"
  if have_uv; then
    uv pip install --quiet --python .venv/bin/python --require-hashes -r "$requirements" && return
    say "uv could not install it (see above); trying pip"
  fi
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null ||
    fail "there is no pip in .venv; on Debian: apt-get install python3-venv, then make clean"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements" ||
    fail "pip could not install $requirements (see above)"
}

install_node() { # linters and tests of static/ only; the site itself needs no Node.js
  [ -f package.json ] || return 0
  local version
  version=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || true
  command -v npm >/dev/null 2>&1 && [ "${version:-0}" -ge 20 ] ||
    fail "Node.js 20 or later with npm is needed for the tests and linters of static/ (found: ${version:-none}); see https://nodejs.org"
  say "installing node_modules"
  npm ci --no-audit --no-fund --loglevel=error >&2 </dev/null || fail "npm ci failed (see above)"
}

install_chromium() { # the one the browser tests drive: Debian's
  [ ! -x /usr/bin/chromium ] || return 0
  apt_install chromium && [ -x /usr/bin/chromium ] ||
    fail "/usr/bin/chromium is missing and could not be installed here; the browser tests need it: apt-get install chromium, as root"
}

case "${1:-}" in
  venv) install_venv "${2:-}" ;;
  node) install_node ;;
  chromium) install_chromium ;;
  *) fail "usage: setup.sh venv [REQUIREMENTS] | node | chromium" ;;
esac
