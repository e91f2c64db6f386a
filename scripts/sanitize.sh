#!/usr/bin/env bash
# Every test under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer, one after the other.
#   scripts/sanitize.sh [asan|ubsan|tsan …]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
for config in "${@:-asan ubsan tsan}"; do
  for one in $config; do
    echo "--- $one"
    bazel test --config="$one" --test_output=errors //...
  done
done
