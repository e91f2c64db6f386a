#!/usr/bin/env bash
# Specialised graphs in other programs: OpenCV, OpenVINO, ONNX Runtime (through tf2onnx) and TensorFlow.
# Prints a table, and fails when a row does.
#   scripts/check_importers.sh            # sets up a virtual environment (about 2 GB) the first time
#   PYTHON=/path/to/python scripts/check_importers.sh   # one that has the four
# No part of the tests: nothing else here needs Python packages.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
if [ -z "${PYTHON:-}" ]; then
  environment=${XDG_CACHE_HOME:-$HOME/.cache}/espalier/importers
  [ -x "$environment/bin/python" ] || python3 -m venv "$environment"
  "$environment/bin/python" -c 'import cv2, openvino, tf2onnx, onnxruntime, tensorflow' 2> /dev/null ||
    "$environment/bin/pip" install -q opencv-python-headless openvino tf2onnx onnxruntime tensorflow-cpu
  PYTHON=$environment/bin/python
fi
bazel build -c opt //tools:espalier //examples/mnist:notebook >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" scripts/check_importers.py bazel-bin "$work"
