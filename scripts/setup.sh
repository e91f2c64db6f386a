#!/usr/bin/env bash
# Installs what the build needs, once. Sourced by the other scripts; quiet about what is there already.
set -euo pipefail

PACKAGES=(
  bazel-bootstrap bazel-platforms bazel-rules-java bazel-rules-proto
  clang-format clang-tidy curl g++ libabsl-dev libbenchmark-dev libeigen3-dev libgmock-dev libgtest-dev
  libprotobuf-dev protobuf-compiler python3-minimal zlib1g-dev
)

install_packages() {
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  echo "Installing ${missing[*]} (apt-get; about a minute)"
  local sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_packages
