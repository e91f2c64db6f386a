#!/usr/bin/env bash
# Formatting, file sizes, and clang-tidy on the files that differ from a base commit (default: the one before).
#   scripts/check_style.sh [BASE]
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
set +e
base=${1:-HEAD~1}
failed=0

mapfile -t sources < <(git ls-files '*.cc' '*.h')
if ! clang-format --dry-run -Werror "${sources[@]}"; then
  echo "check_style.sh: run clang-format -i on these files" >&2
  failed=1
fi

# A file over 500 lines says why in a line that starts with "// Long because".
for file in "${sources[@]}"; do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 500 ] && ! grep -q '^// Long because' "$file"; then
    echo "$file has $lines lines; 500 is the limit without a stated reason" >&2
    failed=1
  fi
done

# Of the library and the programs; the tests are left to the compiler. clang-tidy sees the include tree that Bazel made, so the build comes first (scripts/test.sh).
mapfile -t changed < <(git diff --name-only --diff-filter=d "$base" -- '*.cc' ':!*_fuzz.cc' ':!*_test.cc' 2>/dev/null)
if [ "${#changed[@]}" -gt 0 ]; then
  includes=()
  for folder in bazel-bin/_virtual_includes/* bazel-bin/*/_virtual_includes/* bazel-bin/*/*/_virtual_includes/*; do
    [ -d "$folder" ] && includes+=(-I "$folder")
  done
  flags=(-x c++ -std=c++20 -march=x86-64-v3 "${includes[@]}" -isystem /usr/include/eigen3
    -DESPALIER_ISA=base '-DESPALIER_ISA_NAME="base"')
  echo "clang-tidy on ${#changed[@]} changed files"
  running=0
  for file in "${changed[@]}"; do
    clang-tidy --quiet "$file" -- "${flags[@]}" 2>/dev/null &
    running=$((running + 1))
    if [ "$running" -ge "$(nproc)" ]; then
      wait -n || failed=1
      running=$((running - 1))
    fi
  done
  while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
  done
fi
[ "$failed" -eq 0 ] && echo "Style: ok"
exit "$failed"
