"""Cards that the pages show are cards."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from medstress.cards.judge import Judge
from medstress.cards.model import ModelCard
from medstress.configfile import load_project
from tests.conftest import ROOT

BLOCKS = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/vlm.md").read_text(), re.DOTALL | re.MULTILINE)
DATA, STUDY, *SHOWN = [yaml.safe_load(text) for text in BLOCKS]


def test_the_page_has_a_study_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / f"{DATA['name']}.yaml").write_text(yaml.safe_dump(DATA))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.chdir(ROOT)
    project = load_project(tmp_path / "mine.yaml")
    assert set(project.runs) == set(STUDY["runs"])
    assert project.study.tables == ["vqa_main", "vqa_levels", "vqa_shifts", "calibration"]
    assert {"severity_curves", "flip_matrix"} <= set(project.study.figures)
    assert "image_grid" not in project.study.figures


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: next(iter(block.values())))
def test_what_the_page_shows_can_be_copied(block: dict[str, Any]) -> None:
    if "judges" in block:
        [judge] = TypeAdapter(list[Judge]).validate_python(block["judges"])
        assert (ROOT / "config/models" / f"{judge.model}.yaml").exists()
    else:
        card: Any = TypeAdapter(ModelCard).validate_python(block)
        assert card.name == block["name"]


def test_the_page_shows_cards() -> None:
    assert len(SHOWN) == 4
