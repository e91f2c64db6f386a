#!/usr/bin/env bash
# What Espalier costs: the command's size and start, and how graphs scale. One JSON line each.
#   scripts/measure_cost.sh            # about a minute once everything is built
#   scripts/measure_cost.sh --clean    # also a clean clone: its build, and MNIST to the trained network
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh

seconds() { # runs a command, prints how long it took
  local start end
  start=$(date +%s.%N)
  "$@" >&2
  end=$(date +%s.%N)
  echo "$start $end" | awk '{printf "%.1f", $2 - $1}'
}

bazel build -c opt //tools:espalier //benchmarks:graph_scale >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strip -o "$work/espalier" bazel-bin/tools/espalier
echo "{\"stripped_bytes\": $(stat -c %s "$work/espalier")}"

cat > "$work/one.pbtxt" <<'GRAPH'
node { name: "one" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape {} float_val: 1 } } } }
GRAPH
for _ in $(seq 21); do
  start=$(date +%s%N)
  "$work/espalier" run --graph="$work/one.pbtxt" --fetch=one:0 > "$work/out"
  echo $(( ($(date +%s%N) - start) / 1000 ))
done | sort -n | awk '{t[NR] = $1} END {printf "{\"start_and_run_one_node_ms\": %.1f}\n", t[int((NR + 1) / 2)] / 1000}'

bazel-bin/benchmarks/graph_scale

if [ "${1:-}" = --clean ]; then
  git clone -q . "$work/clone"
  cd "$work/clone"
  echo "{\"clean_build_s\": $(seconds bazel --output_base="$work/base" build -c opt --symlink_prefix="$work/bazel-" //...)}"
  cd - > /dev/null
  git clone -q . "$work/train"
  cd "$work/train"
  echo "{\"clone_to_trained_s\": $(seconds scripts/train_mnist.sh)}"
fi
