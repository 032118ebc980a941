"""The files for a paper: what stands in them is what stands in tables and scores."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import datasets
import pandas as pd
import pytest
import yaml
from pydantic import TypeAdapter

from medstress.cards.dataset import DatasetCard
from medstress.errors import MedstressError
from medstress.exports.dataset_card import licence_id, write_dataset_card
from medstress.exports.latex_document import in_order, write_latex_document
from medstress.exports.made_tables import MadeTable, read_made_tables
from medstress.exports.results_card import write_results_card
from medstress.exports.run_results import write_run_results
from medstress.exports.source import find_perturbed
from medstress.exports.workbook import write_workbook
from medstress.exports.write import export
from medstress.score.robustness import read_scores
from medstress.tables.latex import latex
from medstress.tables.registry import TABLES
from medstress.tables.write import write_table
from tests.conftest import ROOT
from tests.exports.conftest import TABLES_MADE

SHEET = {"s": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def cells_of(book: Path, number: int) -> dict[str, tuple[str, str]]:
    """Type and value of each cell of a sheet, read from the XML itself."""
    with zipfile.ZipFile(book) as archive:
        shared = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        texts = ["".join(one.itertext()) for one in shared.findall("s:si", SHEET)]
        sheet = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
    found = {}
    for cell in sheet.iterfind(".//s:c", SHEET):
        value = cell.findtext("s:v", namespaces=SHEET)
        if value is not None:
            kind = cell.get("t", "n")
            found[cell.get("r", "")] = (kind, texts[int(value)] if kind == "s" else value)
    return found


def test_the_workbook_holds_every_number_unrounded(results, tmp_path):
    tables = read_made_tables(results)
    write_workbook(tables, tmp_path / "one.xlsx")
    write_workbook(tables, tmp_path / "two.xlsx")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
    names = [table.name for table in tables]
    assert names == sorted(TABLES_MADE)
    main = tables[names.index("segmentation_main")]
    cells = cells_of(tmp_path / "one.xlsx", names.index("segmentation_main") + 2)
    headings = {value: re.sub(r"\d", "", place) for place, (_, value) in cells.items() if place.endswith("1")}
    for heading in ("iou_clean", "hd95_drop_low", "n_objects"):
        column = headings[heading]
        found = {place: value for place, value in cells.items() if re.fullmatch(rf"{column}\d+", place)}
        for row, value in enumerate(main.numbers[heading].tolist(), start=2):
            if pd.isna(value):
                assert f"{column}{row}" not in found
            else:
                assert found[f"{column}{row}"][0] == "n"
                assert float(found[f"{column}{row}"][1]) == pytest.approx(value, rel=1e-14)


def test_a_text_is_never_a_formula_and_no_two_sheets_are_alike(tmp_path):
    numbers = pd.DataFrame({"run": ["=1+1"], "iou": [float("inf")]})
    long = "a" * 40
    tables = [MadeTable(name, "t", "c", "", numbers) for name in (long + "1", long + "2", "contents")]
    write_workbook(tables, tmp_path / "b.xlsx")
    assert cells_of(tmp_path / "b.xlsx", 2)["A2"] == ("s", "=1+1")
    with zipfile.ZipFile(tmp_path / "b.xlsx") as archive:
        names = re.findall(r'sheet name="([^"]+)"', archive.read("xl/workbook.xml").decode())
    assert names == ["Contents", "a" * 31, "a" * 29 + "_2", "contents_2"]


def check_structure(text: str) -> None:
    """What pdflatex would stumble over in our tables: unbalanced braces, rows of another length."""
    plain = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    for kinds, body in re.findall(r"\\begin{tabular}{([^\n]+)}\n(.*?)\\end{tabular}", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        columns = len(re.findall("[lp]", re.sub(r">{[^}]*}|{\d+pt}", "", kinds)))
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
        assert not any(re.match(r"[\[*]", row) for row in rows), r"\\ would take it for an argument"
    assert not re.search(r"#|%(?!\n)", plain), "a parameter, or a comment that swallows text"
    assert not re.search(r"(?<!\\)_", re.sub(r"\\label{[^}]*}", "", text))


def compile_document(document: Path) -> str:
    """What pdflatex says of it; skipped without pdflatex, unless MEDSTRESS_REQUIRE_LATEX is set."""
    if not shutil.which("pdflatex") and not os.environ.get("MEDSTRESS_REQUIRE_LATEX"):
        pytest.skip("no pdflatex: apt-get install texlive-latex-base texlive-latex-recommended")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document.name]
    done = subprocess.run(command, cwd=document.parent, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert document.with_suffix(".pdf").stat().st_size > 0
    return document.with_suffix(".log").read_text(errors="replace")


def fits(log: str) -> bool:
    return "Overfull" not in log and "too large for page" not in log


def test_every_table_of_a_study_compiles_and_fits_the_page(toy, tmp_path):
    sources = []
    for name in TABLES:
        outputs = {kind: tmp_path / f"tables/{name}.{kind}" for kind in ("csv", "md", "tex", "parquet")}
        try:
            write_table(toy.spec, name, toy.sources, outputs)
        except MedstressError:
            continue
        # Under a name that is not left out for its length.
        sources.append(outputs["tex"].rename(tmp_path / f"tables/all_of_{name}.tex"))
    assert len(sources) > 10
    document = tmp_path / "tables.tex"
    write_latex_document(sources, document)
    text = document.read_text()
    check_structure(text)
    assert text.count(r"\label{tab:") == len(sources)
    with pytest.raises(MedstressError, match=r"no \.tex files"):
        write_latex_document([], document)
    assert fits(compile_document(document))


def test_tables_come_in_the_order_of_the_study_and_long_ones_are_named_alone(tmp_path):
    for name in ("a", "b", "c", "published_by_level"):
        (tmp_path / f"{name}.tex").write_text(f"Table {name.upper()}.")
    ordered = in_order(sorted(tmp_path.glob("*.tex")), ["c", "published_by_level", "a"])
    assert [path.stem for path in ordered] == ["c", "published_by_level", "a", "b"]
    write_latex_document(ordered, tmp_path / "all.tex")
    text = (tmp_path / "all.tex").read_text()
    assert text.index("Table C.") < text.index("Left out here") < text.index("Table A.") < text.index("Table B.")
    assert "PUBLISHED" not in text
    assert r"/published\_by\_level.tex}" in text
    compile_document(tmp_path / "all.tex")


def test_letters_that_are_set_as_one_are_found_and_copied(tmp_path):
    words = "affine coefficient difference classification flips"
    cuts = (words, f"\\textbf{{{words}}}", f"\\emph{{{words}}}", f"{{\\small {words}}}")
    (tmp_path / "one.tex").write_text("\n\n".join(cuts))
    write_latex_document([tmp_path / "one.tex"], tmp_path / "all.tex")
    compile_document(tmp_path / "all.tex")
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext")
    command = ["pdftotext", "all.pdf", "-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[: 4 * len(words.split())] == 4 * words.split()


NASTY = r"50% & $5 #1 a_b {c} ~ ^ \input{x}"


def test_every_sign_that_latex_takes_for_its_own_is_escaped(tmp_path):
    signs = "\u00b1 \u2020 \u2021 \u2264 \u03b1\u0394\u039c\u03bf\u03c2"
    first = [NASTY, "[0.1, 0.2]", "*", signs, "Z\u00fcrich \u0141\u00f3d\u017a", "\u4e2d\u6587 \U0001f600"]
    second = ["**0.5 \u00b1 0.1**", "", "-", "a\tb", "\u2212\u2013\u2014", "x" * 30]
    shown = pd.DataFrame({"A&B": first, "[x]": second})
    text = latex("T_1 [x]", "100 %", shown, ["a_b", "[c]"], "name_of_table")
    check_structure(text)
    assert r"\textbackslash{}input\{x\}" in text
    assert r"\textbf{0.5 $\pm$ 0.1}" in text
    assert r"$\alpha$$\Delta$Mo$\sigma$" in text
    assert "U+4E2DU+6587 U+1F600" in text
    (tmp_path / "one.tex").write_text(text)
    write_latex_document([tmp_path / "one.tex"], tmp_path / "all.tex")
    assert fits(compile_document(tmp_path / "all.tex"))


def test_wide_and_long_tables_go_on_and_lose_no_cell(tmp_path):
    names = ["run", *(f"quality_of_type_{place}" for place in range(70))]
    cells = [[f"run {row}", *(f"0.{row:03}{place:03}" for place in range(70))] for row in range(120)]
    long = pd.DataFrame({"text": ["word " * 60] * 40, "n": [str(row) for row in range(40)]})
    parts = {
        "wide": latex("Wide", "c", pd.DataFrame(cells, columns=names), ["note " * 400], "wide"),
        "long": latex("Long", "c " * 300, long, ["note"], "long"),
    }
    assert parts["wide"].count(r"\caption[{") == 1
    assert parts["wide"].count(r"\begin{tabular}") > 4
    for row in cells:
        assert parts["wide"].count(f"\n{row[0]} &") > 1
        assert all(parts["wide"].count(cell) == 1 for cell in row[1:])
    for name, text in parts.items():
        (tmp_path / f"{name}.tex").write_text(text)
    write_latex_document([tmp_path / f"{name}.tex" for name in parts], tmp_path / "all.tex")
    assert fits(compile_document(tmp_path / "all.tex"))


def test_a_file_a_run_with_the_means_of_its_scores(toy, results, tmp_path):
    scores = read_scores(toy.sources["scores"])
    assert write_run_results(toy.spec, scores, tmp_path) == 3
    net = json.loads((tmp_path / "net.json").read_text())
    assert (net["architecture"], net["adaptation"], net["eps"]) == ("net", None, {"pgd": [2, 4, 6, 8, 10]})
    assert json.loads((tmp_path / "box.json").read_text())["eps"] is None
    [many] = [one for one in net["results"] if one["dataset"] == "many"]
    raw = pd.concat([pd.read_parquet(path) for path in toy.sources["scores"]])
    own = raw[(raw.run == "net") & (raw.dataset == "many") & (raw.metric == "iou") & raw.status.isin(["ok", "empty"])]
    noise = own[own.perturbation == "gaussian_noise"].groupby("level").value.mean()
    assert many["metrics"]["iou"]["by_corruption"]["gaussian_noise"] == pytest.approx(noise.tolist())
    cells = own[own.perturbation.isin(["gaussian_noise", "rotation"])].groupby(["perturbation", "level"]).value.mean()
    assert many["metrics"]["iou"]["corruptions"] == pytest.approx(cells.mean())
    assert many["metrics"]["iou"]["clean"] == pytest.approx(own[own.level == 0].value.mean())
    assert many["metrics"]["iou"]["by_attack"]["pgd"][:2] == pytest.approx(
        own[own.perturbation == "pgd"].groupby("level").value.mean().tolist()
    )
    assert "clean_acc" not in many
    before = (tmp_path / "net.json").read_bytes()
    write_run_results(toy.spec, scores.sample(frac=1, random_state=0), tmp_path)
    assert (tmp_path / "net.json").read_bytes() == before


def test_classifiers_have_the_keys_of_robustbench(toy, tmp_path):
    scores = read_scores(toy.sources["scores"])
    scores = scores[scores["metric"] == "iou"].assign(metric="accuracy")
    write_run_results(toy.spec, scores, tmp_path)
    for path in tmp_path.glob("*.json"):
        for one in json.loads(path.read_text())["results"]:
            accuracy = one["metrics"]["accuracy"]
            assert one["clean_acc"] == f"{100 * accuracy['clean']:.2f}"
            assert one["corruptions_acc"] == f"{100 * accuracy['corruptions']:.2f}"


def test_the_results_card_says_what_was_asked_of_whom(toy, results, tmp_path):
    scored = tmp_path / "toy"
    shutil.copytree(results / "scores", scored / "scores")
    facts = {"python": "3.11.7", "versions": {"numpy": "2.4.6"}}
    (scored / "scores/net/many.parquet.provenance.json").write_text(json.dumps(facts))
    tables = read_made_tables(results)
    write_results_card(toy.spec, tables, scored, tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    for expected in ("* Many patients (`many`)", "* Box_fill (`box`), a baseline", "numpy 2.4.6", "Python 3.11.7"):
        assert expected in text
    main = (results / "tables/segmentation_main.md").read_text().splitlines()
    assert [line for line in main if line.startswith("|")] == [line for line in text.splitlines() if line[:1] == "|"]
    (scored / "scores/net/many.parquet.provenance.json").write_text("{")
    with pytest.raises(MedstressError, match=r"many\.parquet\.provenance\.json: cannot be read"):
        write_results_card(toy.spec, tables, scored, tmp_path / "RESULTS.md")


def test_tables_that_are_not_there_are_said(tmp_path):
    with pytest.raises(MedstressError, match="no tables"):
        read_made_tables(tmp_path)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("BSD-3-Clause (stardist)", "bsd-3-clause"),
        ("CC BY 4.0 (as the article; look at its page before you publish)", "other"),
        ("CC BY-NC-SA 4.0; each image that of its article", "other"),
        ("ours", "other"),
    ],
)
def test_only_a_licence_without_conditions_has_an_id(licence, expected):
    assert licence_id(licence) == expected


def test_hugging_face_reads_the_card_and_the_images(results, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    raw = yaml.safe_load((ROOT / "config/datasets/rocov2.yaml").read_text())
    card = TypeAdapter(DatasetCard).validate_python(raw)
    source = find_perturbed(results, "many")
    export(source, None, tmp_path / "out", "hugging_face")
    write_dataset_card(card, source, tmp_path / "out/README.md")
    _, header, text = (tmp_path / "out/README.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(header)
    assert (fields["license"], fields["license_name"]) == ("other", "see-below")
    assert fields["task_categories"] == ["image-to-text"]
    assert card.licence in text
    assert [one["config_name"] for one in fields["configs"]] == ["gaussian_noise", "rotation"]
    loaded = datasets.load_dataset(str(tmp_path / "out"), "rotation", split="test", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 12


def test_the_citation_file_is_valid():
    """The keys and values that CFF 1.2.0 demands; cffconvert would bring a dozen packages."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert cited["cff-version"] == "1.2.0"
    assert set(cited) >= {"message", "title", "authors"}
    assert cited["type"] in ("software", "dataset")
    assert all(set(author) == {"name"} for author in cited["authors"])
    assert f'version = "{cited["version"]}"' in project
    assert f'license = "{cited["license"]}"' in project
    assert len(set(cited["keywords"])) == len(cited["keywords"])
