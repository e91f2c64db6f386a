#!/usr/bin/env bash
# Trains the notebook's networks on real MNIST, from a bare Debian 12 on:
#   scripts/train_mnist.sh                     the network with layers::BatchNormalization
#   scripts/train_mnist.sh --network=all       all three
# Further flags go to the program; --help lists them. A second run needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
echo "Building (the first time takes some minutes)" >&2
bazel build --ui_event_filters=-info,-stdout,-stderr //examples/mnist:notebook
scripts/fetch_mnist.sh data/mnist
exec bazel-bin/examples/mnist/notebook --data_dir=data/mnist "$@"
