"""A model with an environment of its own runs there or not at all."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from medstress.cards.local_vlm import LocalVlm
from medstress.configfile import load_project
from medstress.environment import check_environment, environment_key, pins_of
from medstress.errors import MedstressError
from medstress.problems import ConfigError
from tests.conftest import ROOT

HERE = f"numpy=={version('numpy')}"


def write(folder: Path, *pip: str, name: str = "own.yaml", python: str = "python=3.11") -> str:
    path = folder / name
    said = {"channels": ["conda-forge"], "dependencies": [python, "ffmpeg=6", "pip", {"pip": list(pip)}]}
    path.write_text(yaml.safe_dump(said))
    return str(path)


def test_pins_are_those_that_python_can_see(tmp_path: Path) -> None:
    path = write(
        tmp_path, "transformers == 4.37.2", "torch>=2", "-r more.txt", "git+https://x/y", python="python ==3.10"
    )
    assert pins_of(Path(path)) == {"python": "3.10", "transformers": "4.37.2"}


def test_the_projects_own_environment_is_this_one() -> None:
    pins = pins_of(ROOT / "envs" / "environment.yaml")
    assert pins["python"] == "3.11"
    assert len(pins) > 40


def test_where_a_job_runs_is_compared_with_what_is_pinned(tmp_path: Path) -> None:
    check_environment(write(tmp_path, HERE))
    check_environment(write(tmp_path, f"torch=={version('torch').split('+')[0]}"))
    with pytest.raises(
        MedstressError, match=r"numpy .* instead of 1\.0\.0, nowhere \(missing\) instead of 2\.0"
    ) as caught:
        check_environment(write(tmp_path, "numpy==1.0.0", "nowhere==2.0"))
    assert "--software-deployment-method conda" in str(caught.value)
    check_environment(write(tmp_path, f"numpy=={version('numpy')}.0"))  # as pip takes it
    with pytest.raises(MedstressError, match=r"python 3\..* instead of 3.1\."):
        check_environment(write(tmp_path, HERE, python="python=3.1"))


def test_what_it_says_is_in_the_key_and_how_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, HERE)
    before = environment_key(path)
    Path(path).write_text(f"# why\n{Path(path).read_text()}")
    assert environment_key(path) == before
    assert environment_key(write(tmp_path, "numpy==1.0.0")) != before
    assert environment_key(None) == ""


def _project(folder: Path, monkeypatch: pytest.MonkeyPatch, environment: str) -> Path:
    (folder / "models").mkdir()
    card: dict[str, Any] = yaml.safe_load((ROOT / "config/models/tiny_vlm.yaml").read_text())
    (folder / "models/mine.yaml").write_text(yaml.safe_dump(card | {"name": "mine", "environment": environment}))
    (folder / "datasets").mkdir()
    shutil.copy(ROOT / "config/datasets/minivqa_vqa.yaml", folder / "datasets")
    study = {
        "study": "mine",
        "datasets": ["minivqa_vqa"],
        "runs": ["mine"],
        "perturbations": {"types": ["rotation"]},
        "tables": ["vqa_main"],
        "figures": [],
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.chdir(folder)
    return Path("mine.yaml")


def test_a_card_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _project(tmp_path, monkeypatch, "own.yaml")
    write(tmp_path, HERE)
    card = load_project(path).models["mine"]
    assert isinstance(card, LocalVlm)
    assert card.environment == "own.yaml"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "'own.yaml': no such file"),
        ("dependencies: [", "a conda environment file"),
        ("dependencies: [python=3.11, pip]", "pins packages under `pip`"),
        ("- transformers==4.37.2", "pins packages under `pip`"),
    ],
)
def test_one_that_is_not_there_or_pins_nothing_is_a_problem_of_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    path = _project(tmp_path, monkeypatch, "own.yaml")
    if content is not None:
        (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_project(path)
    [problem] = caught.value.problems
    assert problem.key == "environment"
    assert problem.file.endswith("models/mine.yaml")
    assert problem.line
    assert said in str(problem)
