"""Starting is quick because heavy packages stay out."""

import json
import subprocess
import sys

import pytest

LIGHT = [
    "medstress.perturb",
    "medstress.perturb.build",
    "medstress.datasets.prepare",
    "medstress.fetch.fetch",
    "medstress.fetch.hub",
    "medstress.models.predict",
    "medstress.models.segmentation.grabcut",
    "medstress.score.classification",
    "medstress.score.segmentation",
    "medstress.tables.write",
    "medstress.figures.write",
    "medstress.configfile",
]


@pytest.mark.parametrize("module", LIGHT)
def test_never_imports_torch(module):
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "transformers", "torchvision", "monai", "skimage", "snakemake"}


def test_the_engine_needs_no_table_or_plot_packages():
    code = "import medstress.perturb.build, sys; print([m for m in ('pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
