"""A copy of the project in which the real DAG can be run, changed and killed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.conftest import ROOT

PARTS = [
    "Snakefile",
    "Makefile",
    "workflow",
    "scripts",
    "config",
    "profiles",
    "local",
    "slurm",
    "envs",
    "resources",
    "pyproject.toml",
    "tests",
    "benchmarks",
]

SMALL = {
    "study": "small",
    "datasets": ["nuclei"],
    "runs": ["box_fill", "grabcut"],
    "perturbations": {"types": ["gaussian_noise", "rotation"], "levels": [1, 3, 5]},
    "limit": {"images": 3, "objects": 2},
    "statistics": {"resamples": 200},
    "tables": ["segmentation_main", "calibration", "claims"],
    "figures": ["severity_curves"],
}


@dataclass(frozen=True)
class Workflow:
    """A project folder and the study in it that is meant; `run` starts Snakemake."""

    folder: Path
    study: str = "small"

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.study

    def write_study(self, **changes) -> Path:
        path = self.folder / "config" / "small.yaml"
        path.write_text(yaml.safe_dump(SMALL | changes, sort_keys=False))
        return path

    def command(self, *arguments, cores=2) -> list[str]:
        # Targets come first: --configfile takes every word that follows it.
        options = ["--profile", "profiles/local", "--cores", str(cores), "--configfile", f"config/{self.study}.yaml"]
        return [sys.executable, "-m", "snakemake", *arguments, *options]

    def run(self, *arguments, cores=2, check=True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*arguments, cores=cores),
            cwd=self.folder,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done

    def planned(self, *arguments) -> dict[str, int]:
        """How many jobs of each rule a dry run lists."""
        out = self.run("--dry-run", *arguments).stdout
        if "Nothing to be done" in out:
            return {}
        lines = out[out.index("Job stats:") :].splitlines()[3:]
        pairs = [line.split() for line in lines[: next(i for i, line in enumerate(lines) if line.startswith("total"))]]
        return {rule: int(count) for rule, count in pairs if rule != "all"}

    def units(self, run="grabcut", dataset="nuclei") -> dict[str, int]:
        """How many units of a prediction came from the journal and how many were computed."""
        record = self.results / "predictions" / run / f"{dataset}.parquet.provenance.json"
        return json.loads(record.read_text())["units"]

    def digests(self) -> dict[str, str]:
        """The hash of every record, table, figure and file of the page that must not differ from run to run."""
        kinds = ("*.parquet", "*.safetensors", "training.json", "*.csv", "*.md", "*.tex", "*.svg", "*.png", "*.html")
        paths = [path for kind in (*kinds, "*.js", "*.css") for path in self.results.rglob(kind)]
        alike = sorted(path for path in paths if "journal" not in path.parts and path.name != "provenance.js")
        return {str(path.relative_to(self.results)): sha256(path) for path in alike}

    def state(self) -> dict[str, tuple[int, str]]:
        """When every file of the study was changed, in ns, and its hash."""
        files = [path for path in self.results.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.results)): (path.stat().st_mtime_ns, sha256(path)) for path in files}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment() -> dict[str, str]:
    """The environment of a user who has activated the virtual environment, and runs no tests."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE_", "PYTEST_"))}
    return clean | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def copy_project(folder: Path) -> Workflow:
    """The project's tracked parts in a new folder, with the small study as configuration."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_symlink():
            (folder / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    workflow = Workflow(folder)
    workflow.write_study()
    return workflow
