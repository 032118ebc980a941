"""The rules that fetch, in the real DAG: what is missing is brought before it is read, and once."""

import io
import json
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import EMBEDDED, ROOT
from tests.fetch.server import File, Server
from tests.scenarios.workflow import copy_project


def zip_of(files: dict[str, Path]) -> File:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, path in files.items():
            archive.write(path, name)
    return File(buffer.getvalue())


@pytest.mark.scenario
def test_downloads_come_before_what_needs_them(server: Server, tmp_path: Path) -> None:
    root = EMBEDDED / "nuclei"
    nuclei = sorted(path for path in root.rglob("*") if path.is_file())
    server.files["/nuclei.zip"] = zip_of({f"tiles/{path.relative_to(root)}": path for path in nuclei})
    weights = sorted((ROOT / "resources" / "models" / "tiny_sam").iterdir())
    workflow = copy_project(tmp_path / "project")
    cards = {kind: workflow.folder / "config" / kind for kind in ("datasets", "models")}

    card = yaml.safe_load((cards["datasets"] / "nuclei.yaml").read_text())
    card |= {"name": "far", "source": {"format": "sheet", "sheet": "downloads/datasets/far/tiles/sheet.csv"}}
    card["download"] = [{"url": f"{server.base}/nuclei.zip", "unpack": True}]
    (cards["datasets"] / "far.yaml").write_text(yaml.safe_dump(card))
    model = yaml.safe_load((cards["models"] / "tiny_sam.yaml").read_text())
    model |= {"name": "own", "weights": "downloads/models/own", "download": {"hub": "our/repo"}}
    (cards["models"] / "own.yaml").write_text(yaml.safe_dump(model))
    # A copy that is there already: the hub, which cannot be reached from here, is not asked.
    (workflow.folder / "downloads" / "models" / "own").mkdir(parents=True)
    for path in weights:
        (workflow.folder / "downloads" / "models" / "own" / path.name).write_bytes(path.read_bytes())
    workflow.write_study(datasets=["far"], runs=["own"])

    workflow.run("fetch", "results/small/datasets/far/images.parquet")
    folder = workflow.folder / "downloads"
    assert json.loads((folder / "models/own/.fetched.json").read_text())["source"] == "found"
    stamp = json.loads((folder / "datasets/far/.fetched.json").read_text())
    assert (stamp["source"], stamp["files"]) == (f"{server.base}/nuclei.zip", len(nuclei))
    assert len(server.asked) == 1
    planned = workflow.planned("all")
    assert "predict" in planned
    assert not {"fetch_dataset", "fetch_weights", "prepare_dataset"} & set(planned)
