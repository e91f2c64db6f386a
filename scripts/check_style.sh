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

mapfile -t changed < <(git diff --name-only --diff-filter=d "$base" -- '*.cc' 2>/dev/null)
if [ "${#changed[@]}" -gt 0 ] && [ "${TIDY:-1}" = 1 ]; then
  # The include tree as Bazel sees it: "espalier/…" is the repository, generated headers beside it.
  tree=$(mktemp -d)
  cp -r --parents $(git ls-files '*.h') "$tree" 2>/dev/null
  mkdir -p "$tree/include" && ln -s "$tree" "$tree/include/espalier"
  cp bazel-bin/ops/ops.h "$tree/ops/" && cp bazel-bin/proto/graph.pb.h "$tree/proto/" 2>/dev/null || mkdir -p "$tree/proto"
  cp bazel-bin/proto/*.pb.h "$tree/proto/"
  printf '%s\n' "${changed[@]}" | xargs -P "$(nproc)" -n 4 timeout 600 clang-tidy --quiet -- -std=c++20 \
    -march=x86-64-v3 -I"$tree/include" -isystem /usr/include/eigen3 -DESPALIER_ISA=base '-DESPALIER_ISA_NAME="base"' \
    2>/dev/null || failed=1
  rm -rf "$tree"
fi
[ "$failed" -eq 0 ] && echo "Style: ok"
exit "$failed"
