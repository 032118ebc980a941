"""What stands at the head of Snakemake's report."""

from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docutils.core import publish_parts
from jinja2 import Environment

from tests.conftest import ROOT


@pytest.mark.parametrize("trims", [False, True])
def test_the_report_names_the_study_and_the_tasks_that_it_has(trims):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    made = [
        SimpleNamespace(path=Path(f"tables/{name}")) for name in ("vqa_main.csv", "claims.csv", "captioning_main.md")
    ]
    text = (
        Environment(trim_blocks=trims, lstrip_blocks=trims, autoescape=False)
        .from_string((ROOT / "workflow/report/study.rst").read_text() + "\n\n.. _Workflow: javascript:show()\n")
        .render(snakemake=SimpleNamespace(config=config), categories={"Tables": {"": made}}, files=[])
    )
    assert text.startswith("Stress test of the study **demo**: answering questions.\n")
    body = publish_parts(text, writer="html5", settings_overrides={"halt_level": 2})["body"]
    assert body.count("<li>") == 2
    for name in (*config["datasets"], *config["runs"]):
        assert f">{name}</" in unescape(body)
