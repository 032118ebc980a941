"""What a newcomer does: the demo, and every command that the pages for users show.

The demo runs with all its runs, tables and figures, and with fewer images, types and levels. As it is, it is planned
here, and run by hand before each release.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import yaml

from medstress.configfile import load_project
from medstress.names import FigureName
from tests.conftest import ROOT
from tests.scenarios.workflow import Workflow, copy_project, environment

pytestmark = pytest.mark.scenario

PAGES = [
    "README.md",
    "config/README.md",
    "results/README.md",
    "docs/development.md",
    "docs/slurm.md",
    "docs/models.md",
    "docs/vlm.md",
    "docs/datasets.md",
    "docs/benchmarks.md",
]
# Not run here: `make test` is what runs this file, installing is what came before it, test_slurm.py has a Slurm, and CI
# builds the pages. docs/tutorial.md has a test of its own.
ELSEWHERE = {"make test", "make docs", ".ci/run", "snakemake --profile slurm all"}
STRATEGIES = {
    "full": "Full",
    "decoder_only": "Decoder only",
    "decoder_prompt": "Decoder and prompt encoder",
    "encoder_partial": "Last encoder blocks",
    "adapter_only": "Adapters",
    "lora": "LoRA",
    "lora_plus_encoder": "LoRA+ on the encoder",
    "lora_plus_decoder": "LoRA+ on the decoder",
}
RUN = {
    "make demo",
    "make bench",
    "medstress validate config/config.yaml",
    "snakemake --profile local",
    "snakemake --profile local results/demo/tables/segmentation_main.csv",
    "snakemake results/ci/tables/segmentation_main.csv --profile local --configfile config/ci.yaml",
    "snakemake --profile local results/demo/tables/claims.csv",
    "medstress summary results/demo",
    "medstress export-paper results/demo results/paper",
    "medstress bundle results/demo results/demo.zip",
    "snakemake -c1 --config bundle=results/demo.zip -- results/demo/tables/claims.csv",
    "medstress compare results/demo results/demo",
    "snakemake --profile local results/demo/tables/vqa_main.csv",
    "snakemake --profile local results/demo/tables/vqa_shifts.csv",
    "medstress rating-sheet results/demo minivqa_vqa tiny_vlm results/rating --count 10",
    "medstress schema",
    "medstress list --modality microscopy",
    "medstress perturb resources/embedded/nuclei results/nuclei_c --modality microscopy --types jpeg,path_bubbles "
    "--levels 1-3 --workers 2",
    "medstress export results/demo nuclei results/nuclei_folder --format folder",
    "medstress export-results results/demo results/demo_json --layout robustmedclip",
    "make gallery",
    "python -m benchmarks.gpu",
    "snakemake fetch --profile local --configfile config/ci.yaml",
    "python -m benchmarks.reach vignette hair",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def shell(folder: Path, command: str) -> str:
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}"
    return done.stdout


# The environment is there already; make must not build another.
READY = "make -o .venv/installed -o .venv/installed-test"


DEMO = load_project(ROOT / "config" / "config.yaml")
# Of each modality a type of its own, and general ones.
SHORT = {
    "perturbations": {
        "types": ["gaussian_noise", "jpeg", "rotation", "mri_motion", "ct_metal_streaks", "path_bubbles"],
        "levels": [1, 5],
    },
    "limit": {"images": 3, "objects": 2, "per_class": 6, "asked": 6},
    "statistics": {"resamples": 500},
}
GENERAL = 3
STEPS = 10
"""Of every training."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("newcomer") / "medstress").folder
    shutil.copytree(ROOT / "docs", folder / "docs")
    (folder / ".venv").symlink_to(Path(sys.prefix))
    study = folder / "config" / "config.yaml"
    study.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | SHORT, sort_keys=False))
    for strategy in {run.strategy for run in DEMO.runs.values() if run.strategy}:
        card = folder / "config" / "strategies" / f"{strategy}.yaml"
        card.write_text(re.sub(r"^steps: \d+$", f"steps: {STEPS}", card.read_text(), flags=re.MULTILINE))
    return folder, shell(folder, f"{READY} demo")


def test_the_whole_demo_is_planned(tmp_path):
    planned = Workflow(copy_project(tmp_path / "medstress").folder, "config").planned()
    scored = [(run, dataset) for run in DEMO.runs for dataset in DEMO.scored_on(run)]
    expected = {
        "prepare_dataset": len(DEMO.study.datasets),
        "perturb": sum(len(DEMO.perturbations_on(dataset)) for dataset in DEMO.study.datasets),
        "finetune": sum(run.strategy is not None for run in DEMO.runs.values()),
        "score": len(scored),
        "table": len(DEMO.study.tables),
        "figure": len(DEMO.study.figures),
        "page": 1,
    }
    assert {rule: planned.get(rule) for rule in expected} == expected
    assert sum(planned.get(rule, 0) for rule in ("predict", "answer", "classify")) == len(scored)


def test_it_ends_with_the_tables_and_the_page(demo):
    folder, said = demo
    named = [folder / line.strip() for line in said.splitlines() if line.startswith("  results/demo/")]
    tables = {path.stem for path in named if path.suffix == ".md"}
    assert tables == set(DEMO.study.tables)
    assert folder / "results" / "demo" / "report.html" in named
    # A make that runs in another's test says when it comes and goes.
    own = [line for line in said.splitlines() if not line.startswith("make[")]
    assert own[-1] == "results/demo/index.html"
    assert (folder / "results/demo/index.html").exists()
    assert all(path.stat().st_size > 200 for path in named)


def test_both_models_on_four_data_sets_with_intervals_or_few_groups(demo):
    folder, _ = demo
    text = (folder / "results/demo/tables/segmentation_main.md").read_text()
    rows = [line for line in text.splitlines() if "| Box fill" in line or "| GrabCut" in line]
    assert len(rows) == 8
    learned = [line for line in text.splitlines() if "| Tiny SAM " in line]
    assert len(learned) == 4 + 8
    for row in rows:
        assert re.search(r"\d\.\d+ (\(few groups\)|\[[\d.]+, [\d.]+\])", row), row
    table = pd.read_csv(folder / "results/demo/tables/segmentation_main.csv")
    assert set(table["run"]) == {"box_fill", "grabcut", "tiny_sam"} | {f"tiny_sam+{name}" for name in STRATEGIES}
    assert (table["n_objects"] > 0).all()


def test_strategies_stand_beside_the_baselines_with_mean_and_spread(demo):
    text = (demo[0] / "results/demo/tables/segmentation_strategies.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| Brain MRI tumour")]
    names = {line.split("|")[2].strip() for line in rows}
    assert names == {"Box fill", "GrabCut", "Tiny SAM"} | {f"Tiny SAM + {title}" for title in STRATEGIES.values()}
    assert all(re.search(r"\d\.\d+ ± \d\.\d+", line) for line in rows if "+ LoRA |" in line)


def test_attacks_cost_every_model_more_the_larger_the_radius(demo):
    table = pd.read_csv(demo[0] / "results/demo/tables/segmentation_adversarial.csv")
    assert set(table["run"]) == {"tiny_sam"} | {f"tiny_sam+{name}" for name in STRATEGIES}
    assert set(table["dataset"]) == {"brain_mri_tumour"}
    plain = table[(table["run"] == "tiny_sam") & (table["attack"] == "pgd")].set_index("level")["iou_drop"]
    assert plain[5] > plain[1] > 0


CLASSIFIERS = ["majority_class", "tiny_clip~published", "tiny_clip~ensemble", "tiny_clip+tiny_fewshot"]


def test_classifiers_stand_beside_the_majority_class_and_the_normaliser_is_100(demo):
    table = pd.read_csv(demo[0] / "results/demo/tables/classification_main.csv").set_index("run")
    assert list(table.index) == CLASSIFIERS
    assert (table["n_samples"] == 36).all()
    assert table.loc["majority_class", "accuracy"] == pytest.approx(1 / 6)
    assert table.loc["tiny_clip~published", "accuracy"] > 2 / 6
    assert table.loc["tiny_clip~published", "mce"] == 100
    assert table.loc["majority_class", "mce"] > 120
    assert list(table["beats_baselines"]) == ["baseline", "yes", "yes", "yes"]


def test_corruptions_and_attacks_of_classifiers_are_told_apart(demo):
    table = pd.read_csv(demo[0] / "results/demo/tables/classification_corruptions.csv")
    attacks = table[table["kind"] == "attack"]
    assert set(attacks["perturbation"]) == {"fgsm", "pgd"}
    assert set(attacks["run"]) == set(CLASSIFIERS) - {"majority_class"}
    assert attacks["ce"].isna().all()
    assert (attacks["error_5"] >= attacks["error_1"]).all()
    assert len(table[table["kind"] == "corruption"]) == len(CLASSIFIERS) * GENERAL


def test_few_shot_runs_are_compared_with_what_they_start_from(demo):
    [row] = pd.read_csv(demo[0] / "results/demo/tables/classification_fewshot.csv").to_dict("records")
    assert (row["run"], row["starts_from"], row["n_seeds"]) == ("tiny_clip+tiny_fewshot", "tiny_clip~published", 2)
    assert (row["few_shot_source"], row["n_shots"]) == ("train", 4)


TUNED = [f"tiny_vlm+vlm_{how}" for how in ("lora", "lora_no_image", "lora_organ_unseen", "ia3", "prompt", "full")]
ASKED = ["majority_answer", "tiny_vlm", "tiny_vlm~no_image"]


def test_answers_stand_beside_the_majority_and_the_question_alone(demo):
    for task, metric, runs in (
        ("vqa", "closed_accuracy", ASKED + TUNED),
        ("captioning", "cider_d", ASKED),
        ("grounding", "box_iou", ASKED),
    ):
        table = pd.read_csv(demo[0] / f"results/demo/tables/{task}_main.csv")
        table = table[table["metric"] == metric].set_index("run")
        assert list(table.index) == runs
        assert (table[["n_failed", "n_refused"]] == 0).all(axis=None)
        assert set(table.loc[["majority_answer", "tiny_vlm~no_image"], "beats_baselines"]) == {"baseline"}
        # Without the image, nothing that is done to it can change an answer; the true box still moves.
        assert (table.loc["tiny_vlm~no_image", "drop"] == 0) == (task != "grounding")
        assert table.loc["tiny_vlm", "drop"] != 0
        levels = pd.read_csv(demo[0] / f"results/demo/tables/{task}_levels.csv")
        assert set(levels["level"]) == {0, 1, 5}


def test_shifts_in_the_data_stand_beside_perturbations(demo):
    table = pd.read_csv(demo[0] / "results/demo/tables/vqa_shifts.csv")
    table = table[table["metric"] == "closed_accuracy"]
    real = table[table["shift"] == "organ_unseen"].set_index("run")
    # Of tuned runs the one that saw no image of these organs, and no other.
    assert list(real.index) == [*ASKED, "tiny_vlm+vlm_lora_organ_unseen"]
    assert (real[["n_iid_samples", "n_ood_samples"]] > 0).all(axis=None)
    made = table[table["shift"] == "perturbations"].set_index("run")
    assert list(made.index) == ASKED + TUNED
    assert made.loc["tiny_vlm", "explained_iid"] > 0
    assert made.loc["tiny_vlm+vlm_lora", "explained_iid"] > 0


def test_the_report_needs_no_network(demo):
    report = (demo[0] / "results/demo/report.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://", report)
    for part in ("segmentation_main", "calibration", "image_grid", "severity_curves"):
        assert part in report


def test_every_table_and_figure_comes_in_every_format(demo):
    results = demo[0] / "results/demo"
    for table in DEMO.study.tables:
        assert {path.suffix for path in (results / "tables").glob(f"{table}.*")} >= {".csv", ".md", ".tex", ".parquet"}
    for figure in get_args(FigureName):
        assert {path.suffix for path in (results / "figures").glob(f"{figure}.*")} >= {".svg", ".png"}


def test_no_job_needs_much_memory(demo):
    records = list((demo[0] / "results/demo").rglob("*.provenance.json"))
    assert len(records) > 60
    assert max(json.loads(path.read_text())["peak_memory_mb"] for path in records) < 1500


def test_every_command_that_pages_show_is_run():
    shown = {
        line.strip()
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    }
    assert shown == RUN | ELSEWHERE


@pytest.mark.parametrize("command", sorted(RUN - {"make demo"}))
def test_commands_work(demo, command):
    # The whole bench takes minutes; what the page says it prints was printed by hand.
    said = shell(demo[0], command.replace("make", f"{READY} QUICK=1", 1) if command.startswith("make") else command)
    assert said.strip()


def test_python_in_the_pages_works(demo):
    for page in PAGES:
        for code in blocks(page, "python"):
            subprocess.run([sys.executable, "-c", code], cwd=demo[0], check=True, capture_output=True)


def test_links_in_the_pages_lead_somewhere():
    for page in [*PAGES, "docs/design.md", "docs/validation.md", "docs/benchmarks.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            if not target.startswith("http"):
                assert ((ROOT / page).parent / target).exists(), (page, target)
