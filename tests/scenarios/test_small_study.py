"""The DAG: what runs, what is run again, and what comes out."""

import re
import shutil

import pytest

from medstress.records import ImageRow, read_rows
from tests.scenarios.workflow import SMALL, copy_project

pytestmark = pytest.mark.scenario


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished small study; tests that change it take a copy."""
    workflow = copy_project(tmp_path_factory.mktemp("dag") / "project")
    workflow.run(cores=1)
    return workflow


@pytest.fixture
def workflow(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return type(finished)(tmp_path / "project")


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_every_record_has_its_provenance_beside_it(finished):
    for kind in ("datasets", "perturbed", "predictions", "scores"):
        records = [path for path in (finished.results / kind).rglob("*.parquet") if path.name != "samples.parquet"]
        assert records
        assert all(path.with_name(f"{path.name}.provenance.json").is_file() for path in records)


def jobs_run(said):
    """How many jobs of each rule a run lists."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE) if rule != "total"}


def test_the_paper_is_rebuilt_from_scores_piece_by_piece(workflow):
    before = workflow.digests()
    for made in ("tables", "figures", "page"):
        shutil.rmtree(workflow.results / made)
    (workflow.results / "index.html").unlink()
    kept = workflow.state()

    claims = workflow.run("results/small/tables/claims.csv")
    assert jobs_run(claims.stdout) == {"table": 1}, claims.stdout
    after = workflow.state()
    formats = {f"tables/claims.{kind}" for kind in ("csv", "md", "tex", "parquet", "csv.provenance.json")}
    assert set(after) - set(kept) == formats
    assert {name for name in kept if after[name] != kept[name]} == {"logs/table/claims.log"}

    rest = workflow.run()
    assert jobs_run(rest.stdout) == {"table": 2, "figure": 1, "page": 1, "all": 1}, rest.stdout
    assert workflow.digests() == before
    assert {"index.html", "tables/claims.tex", "figures/severity_curves.png"} <= set(before)
    assert any(name.startswith("page/chunks/") for name in before)

    whole = workflow.state()
    main = {f"tables/segmentation_main.{kind}" for kind in ("csv", "md", "tex", "parquet", "csv.provenance.json")}
    for name in main:
        (workflow.results / name).unlink()
    workflow.run("results/small/tables/segmentation_main.csv")
    after = workflow.state()
    assert set(after) == set(whole)
    assert {name for name in whole if after[name] != whole[name]} == main | {"logs/table/segmentation_main.log"}
    assert workflow.digests() == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"statistics": {"resamples": 300}}, {"table": 3, "figure": 1, "page": 1}),
        ({"scoring": {"nsd_tolerance": 3.0}}, {"score": 2, "table": 2, "figure": 1, "page": 1}),
        ({"tables": [*SMALL["tables"], "segmentation_levels"]}, {"table": 1, "figure": 0, "page": 1}),
    ],
    ids=["statistics", "scoring", "one more table"],
)
def test_a_changed_key_reruns_what_uses_it(workflow, changes, expected):
    workflow.write_study(**changes)
    planned = workflow.planned()
    # Rules after a rerun are planned too, and left out at run time where their input came out the same.
    assert {rule: planned.get(rule, 0) for rule in expected} == expected
    assert not {"prepare_dataset", "perturb", "predict"} & set(planned)


def test_one_more_perturbation_computes_only_itself_and_the_same_bytes_as_four_workers_afresh(workflow, tmp_path):
    first = workflow.digests()
    before = workflow.units()
    workflow.write_study(perturbations={"types": ["gaussian_noise", "rotation", "jpeg"], "levels": [1, 3, 5]})
    assert workflow.planned()["perturb"] == 1
    workflow.run()
    units = workflow.units()
    assert units["reused"] == before["computed"]
    assert units["computed"] == 1
    afresh = copy_project(tmp_path / "afresh")
    afresh.write_study(perturbations={"types": ["gaussian_noise", "rotation", "jpeg"], "levels": [1, 3, 5]})
    afresh.run("--set-threads", "perturb=4", cores=4)
    assert afresh.digests() == workflow.digests()
    old = [name for name in first if name.startswith(("datasets/", "perturbed/"))]
    assert len(old) == 4
    assert all(afresh.digests()[name] == first[name] for name in old)


def test_options_of_the_command_line_count(finished):
    assert finished.planned("--config", "study=other")["prepare_dataset"] == 1


def test_the_message_of_a_wrong_configuration_is_the_same_in_snakemake(workflow):
    workflow.write_study(runs=["grabcutt"], tabels=[])
    done = workflow.run(check=False)
    assert done.returncode != 0
    for part in ("config/small.yaml", "grabcutt", "did you mean grabcut?", "tabels", "did you mean tables?"):
        assert part in done.stdout
    assert "Traceback" not in done.stdout


def test_a_configuration_given_by_hand_does_not_inherit_from_the_demo(workflow):
    path = workflow.folder / "config" / "small.yaml"
    path.write_text(path.read_text().replace("limit:\n  images: 3\n  objects: 2\n", ""))
    # One data set as in the small study, and all its images: neither the demo's data sets nor its limit.
    assert workflow.planned()["prepare_dataset"] == 1
    workflow.run("results/small/datasets/nuclei/images.parquet")
    assert len(read_rows(workflow.results / "datasets/nuclei/images.parquet", ImageRow, pixels=False)) == 16
