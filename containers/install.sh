#!/usr/bin/env bash
# What an image holds, the base image aside: bcftools, samtools and tabix, and glm2x in an environment of its own,
# its dependencies at the versions of constraints.txt. Dockerfile and glm2x.def both run this and nothing else.
#
#     install.sh SOURCE PREFIX
set -euo pipefail
source=$1
prefix=$2
extras=alphagenome,ray,s3,slurm,tensorboard

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends bcftools samtools tabix
rm -rf /var/lib/apt/lists/*

python3 -m venv "$prefix"
"$prefix/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check \
    --constraint "$source/constraints.txt" "${source}[$extras]"

"$prefix/bin/glm2x" --version
"$prefix/bin/glm2x" backbones
