#!/usr/bin/env bash
# Makes the virtual environment. On Debian, as root, it also brings what pip cannot: gdb (for memray's attach) and python3-venv.
set -euo pipefail
: "${PYTHON:=python3}" "${VENV:=.venv}"

missing=()
command -v gdb >/dev/null || missing+=(gdb)
command -v "$PYTHON" >/dev/null || missing+=(python3)
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
  else
    echo "setup: missing ${missing[*]}; memory drill-down needs gdb (ask root: apt-get install ${missing[*]})" >&2
  fi
fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 2; }
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
