"""The toy study of the tables, with tables that were made, as results on disk."""

import shutil
from pathlib import Path

import pytest

from medstress.tables.write import write_table
from tests.tables.conftest import ToyStudy, toy

__all__ = ["toy"]
TABLES_MADE = ("segmentation_main", "segmentation_adversarial", "calibration", "trainable_parameters")


@pytest.fixture(scope="session")
def results(toy: ToyStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "results" / "toy"
    shutil.copytree(toy.sources["scores"][0].parents[2], folder)
    for name in TABLES_MADE:
        outputs = {kind: folder / "tables" / f"{name}.{kind}" for kind in ("csv", "md", "tex", "parquet")}
        write_table(toy.spec, name, toy.sources, outputs)
    return folder
