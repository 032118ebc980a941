#!/usr/bin/env bash
# Snakemake runs this in the project's folder after it has made the conda environment.
set -euo pipefail
pip install --no-deps --editable .
