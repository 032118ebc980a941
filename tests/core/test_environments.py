"""One set of pins for everybody."""

import re
import tomllib

import yaml

from tests.conftest import ROOT


def pins(name):
    lines = (ROOT / "envs" / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_every_environment_has_the_same_pins():
    conda = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())["dependencies"]
    assert set(conda[-1]["pip"]) == pins("requirements.lock") == pins("requirements-cuda.lock")
    assert not {line.split("==")[0] for line in pins("requirements-test.lock")} & {
        line.split("==")[0] for line in pins("requirements.lock")
    }


def test_everything_is_pinned_and_nothing_drags_torchvision_in():
    for name in ("requirements.lock", "requirements-test.lock"):
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line) for line in pins(name))
        assert not [line for line in pins(name) if line.startswith("torchvision")]
    assert "torch==2.13.0" in pins("requirements.lock")


def test_every_declared_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0].lower().replace("_", "-") for line in pins("requirements.lock")}
    tested = locked | {line.split("==")[0].lower().replace("_", "-") for line in pins("requirements-test.lock")}

    def names(lines):
        return {re.match(r"[A-Za-z0-9._-]+", line)[0].lower().replace("_", "-") for line in lines}

    assert names(project["dependencies"]) <= locked
    assert names(project["optional-dependencies"]["test"]) <= tested
    extras = [line for extra in ("clip", "sam") for line in project["optional-dependencies"][extra]]
    assert names(extras) <= names(pins("requirements-extras.lock"))


def test_the_second_environment_adds_to_the_first_and_replaces_nothing():
    def names(lock):
        return {line.split("==")[0].lower().replace("_", "-") for line in pins(lock)}

    assert not names("requirements-extras.lock") & (names("requirements.lock") | names("requirements-test.lock"))
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line) for line in pins("requirements-extras.lock"))
