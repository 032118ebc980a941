"""Attacks in the DAG: what is attacked, who sees whose images, and what a changed attack redoes."""

import pandas as pd
import pytest

from medstress.records import PerturbedRow, read_rows
from tests.scenarios.workflow import copy_project

pytestmark = pytest.mark.scenario

ATTACKED = {
    "runs": ["box_fill", "tiny_sam"],
    "perturbations": {"types": ["jpeg"], "levels": [5]},
    "limit": {"images": 1, "objects": 2},
    "attacks": [{"name": "fgsm", "method": "fgsm", "keep_images": True}],
    "transfer": True,
    "tables": ["segmentation_main", "segmentation_adversarial", "segmentation_transfer"],
    "figures": [],
}
TABLES = [f"results/small/tables/{table}.csv" for table in ATTACKED["tables"]]
STRONGER = {"name": "fgsm", "method": "fgsm", "keep_images": True, "epsilons": [2, 4, 6, 8, 12]}


def test_an_attacked_study(tmp_path):
    workflow = copy_project(tmp_path / "project")
    workflow.write_study(**ATTACKED)
    workflow.run(*TABLES)
    tables = {path.stem: pd.read_csv(path) for path in workflow.results.glob("tables/*.csv")}
    (row,) = tables["segmentation_adversarial"].to_dict("records")
    assert (row["run"], row["attack"], row["level"], row["epsilon"], row["n_values"]) == ("tiny_sam", "fgsm", 5, 10, 2)
    assert row["iou_drop"] > 0.05
    drops = tables["segmentation_transfer"].set_index("run")["drop"].to_dict()
    assert drops == {"box_fill": 0, "tiny_sam": pytest.approx(row["iou_drop"])}
    # The attack is no perturbation: two objects under one type at one level.
    assert tables["segmentation_main"]["n_pairs"].tolist() == [2, 2]
    (image,) = read_rows(workflow.results / "attacked" / "tiny_sam" / "nuclei.images.parquet", PerturbedRow)
    assert (image.perturbation, image.strength) == ("fgsm@tiny_sam", 10)

    assert workflow.planned(*TABLES) == {}
    workflow.write_study(**ATTACKED | {"attacks": [STRONGER]})
    planned = workflow.planned(*TABLES)
    assert planned["attack"] == 1
    assert not {"prepare_dataset", "perturb"} & set(planned)
