#!/usr/bin/env bash
# Espalier beside TensorFlow, in both directions; prints a table, and fails when a row does.
#   scripts/check_against_tensorflow.sh            # sets up a virtual environment (about 1.5 GB) the first time
#   PYTHON=/path/to/python scripts/check_against_tensorflow.sh   # one that has tensorflow
# No part of the tests: nothing else here needs TensorFlow.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
if [ -z "${PYTHON:-}" ]; then
  environment=${XDG_CACHE_HOME:-$HOME/.cache}/espalier/tensorflow
  [ -x "$environment/bin/python" ] || python3 -m venv "$environment"
  "$environment/bin/python" -c 'import tensorflow' 2> /dev/null || "$environment/bin/pip" install -q tensorflow-cpu
  PYTHON=$environment/bin/python
fi
scripts/fetch_mnist.sh data/mnist >&2
bazel build -c opt //tools:espalier //examples/mnist:notebook >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" scripts/check_against_tensorflow.py bazel-bin "$work"
