"""The site of the pages: what it names is there, it asks no other host for anything, and its tutorial can be copied."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from medstress.configfile import load_project
from tests.conftest import ROOT

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
DOCS = ROOT / SITE["docs_dir"]
TUTORIAL = (DOCS / "tutorial.md").read_text()


def pages(nav: Any) -> Iterator[str]:
    for item in nav:
        for value in item.values():
            yield from [value] if isinstance(value, str) else pages(value)


def test_every_page_of_the_site_is_there_and_every_page_is_on_it() -> None:
    named = set(pages(SITE["nav"]))
    assert all((DOCS / page).is_file() for page in named)
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} == named


def test_the_reference_names_modules_and_files_that_there_are() -> None:
    texts = [path.read_text() for path in (DOCS / "reference").glob("*.md")]
    modules = [module for text in texts for module in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]
    assert len(modules) == len(set(modules)) > 15
    for module in modules:
        path = ROOT / "src" / Path(*module.split("."))
        source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        assert ast.get_docstring(ast.parse(source.read_text())), module
    snippets = [name for text in texts for name in re.findall(r'^--8<-- "(.+)"$', text, re.MULTILINE)]
    assert snippets == ["config/README.md"]
    assert (ROOT / snippets[0]).is_file()


def test_nothing_comes_from_another_host() -> None:
    assert SITE["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "extra"} & set(SITE)
    # `offline` of the theme would load a script from a public host.
    assert {name if isinstance(name, str) else next(iter(name)) for name in SITE["plugins"]} == {
        "search",
        "mkdocstrings",
    }


def test_the_tutorial_can_be_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, study = re.findall(r"^```yaml\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/my_set.yaml").write_text(card)
    (tmp_path / "mine.yaml").write_text(study)
    monkeypatch.chdir(ROOT)
    project = load_project(tmp_path / "mine.yaml")
    assert project.study.study == "mine"
    assert list(project.runs) == ["box_fill", "grabcut", "tiny_sam"]
    table = re.search(r"results/mine/tables/(\w+)\.csv", TUTORIAL)
    assert table is not None
    assert table[1] in project.study.tables
