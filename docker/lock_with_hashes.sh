#!/bin/sh
# Write the images' requirement files with hashes, at the versions of requirements.lock:
#   sh docker/lock_with_hashes.sh        (after every change of requirements.lock, of PYTHON in the Dockerfile or of UV here)
# installer.lock  uv itself
# server.lock     what the MLflow server needs, and no more
# worker.lock     the whole lock without torch, torchvision and their CUDA parts: they come from torch's own index
set -eu
UV=0.13.9

cd "$(dirname "$0")"
PATH="$PWD/../.venv/bin:$PATH"
python=$(sed -n 's/^ARG PYTHON=\([0-9.]*\).*/\1/p' Dockerfile)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compile NAME REQUIREMENTS [OPTION …]: all three are made before the first is replaced.
compile() {
    name=$1 requirements=$2
    shift 2
    echo "# Made by docker/lock_with_hashes.sh from requirements.lock for Python $python on Linux x86_64." > "$work/$name"
    uv pip compile --quiet --generate-hashes --no-annotate --no-header --python-version "$python" \
        --python-platform x86_64-unknown-linux-gnu "$@" "$requirements" >> "$work/$name"
}

echo "uv==$UV" > "$work/installer.in"
printf '%s\n' 'mlflow[auth]' 'psycopg[binary]' boto3 > "$work/server.in"
compile installer.lock "$work/installer.in"
compile server.lock "$work/server.in" --constraint ../requirements.lock
# shellcheck disable=SC2046  # one option per package
compile worker.lock ../requirements.lock --no-deps \
    $(sed -nE 's/^(torch|torchvision|triton|(nvidia|cuda)-[a-z0-9-]+)==.*/--no-emit-package=\1/p' ../requirements.lock)
mv "$work/installer.lock" "$work/server.lock" "$work/worker.lock" .
