#!/usr/bin/env bash
# Builds and runs every test, from a bare Debian 12 on. Flags go to bazel test:
#   scripts/test.sh --config=asan
# Ends with the number of test cases, counted from Bazel's test XML.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
set +e
echo "Building and testing (the first time takes some minutes)"
log=$(mktemp)
bazel test --test_output=errors "$@" //... 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
python3 scripts/count_tests.py "$log" bazel-testlogs
counted=$?
rm -f "$log"
[ "$status" -eq 0 ] && [ "$counted" -eq 0 ]
