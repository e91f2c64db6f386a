#!/usr/bin/env bash
# Fuzzes GraphDef import and run under ASan and UBSan with clang 14's libFuzzer.
#   scripts/fuzz.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
PACKAGES_EXTRA="clang-14 libclang-rt-14-dev"
source scripts/setup.sh
dpkg-query -W $PACKAGES_EXTRA >/dev/null 2>&1 || apt-get install -y -qq $PACKAGES_EXTRA >/dev/null
bazel build --config=fuzz //tests:graph_def_fuzz
corpus=${FUZZ_CORPUS:-$(mktemp -d)}
exec bazel-bin/tests/graph_def_fuzz -max_total_time="${1:-600}" -max_len=4096 -timeout=10 -rss_limit_mb=4096 "$corpus"
