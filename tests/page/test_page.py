"""The page: what is in it, that it loads nothing from elsewhere, and that no text can break out of it."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.names import FigureName
from medstress.page.cells import cells_data
from medstress.page.chunks import chunk_file, safe_json
from medstress.page.figures import figures_data
from medstress.page.overview import overview_data
from medstress.page.pictures import outline, picture
from medstress.page.provenance import provenance_data
from medstress.page.words import WORDS
from medstress.page.write import MOST_PICTURES, samples_of_cells, write_page
from medstress.pixels import decode_png
from medstress.records import PerturbedRow, ScoreRow, read_rows
from medstress.score.robustness import of_perturbations, paired_drops, read_scores
from medstress.tables import segmentation_main, segmentation_perturbations, vqa_main
from tests.page.conftest import ATTACKS, HOLE, HOSTILE, IMAGES, LEVELS, MOVED, TYPES, Study, make_study, score, square


def chunk(study: Study, key: str) -> Any:
    text = (study.folder / "chunks" / chunk_file(key)).read_text(encoding="utf-8")
    found = re.fullmatch(r'window\.medstress\.chunk\("([^"]*)",(.*)\);\n', text, re.DOTALL)
    assert found is not None
    assert found[1] == key
    return json.loads(found[2])


def data_of(study: Study) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', study.index.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def files_under(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_records_give_the_same_bytes(study: Study, tmp_path: Path) -> None:
    again = make_study(tmp_path)
    write_page(
        again.spec, {kind: list(reversed(paths)) for kind, paths in again.sources.items()}, again.index, again.folder
    )
    assert again.index.read_bytes() == study.index.read_bytes()
    assert files_under(again.folder) == files_under(study.folder)


def test_what_is_left_of_an_older_page_goes(study: Study, tmp_path: Path) -> None:
    made = make_study(tmp_path)
    (made.folder / "chunks").mkdir(parents=True)
    (made.folder / "chunks" / "old.js").write_text("old")
    write_page(made.spec, made.sources, made.index, made.folder)
    assert files_under(made.folder).keys() == files_under(study.folder).keys()


def test_index_and_chunks_name_no_address(study: Study) -> None:
    texts = [study.index, *sorted((study.folder / "chunks").iterdir())]
    for path in texts:
        # The name space of SVG is the one address that a page cannot do without; nothing is loaded from it.
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//cdn|url\(", text), path
    for name in ("tables.css",):
        assert not re.search(r"url\(['\"]?(?!data:)", (study.folder / "libraries" / name).read_text()), name


def test_the_policy_allows_own_scripts_alone(study: Study) -> None:
    text = study.index.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' file: data:"
    assert "unsafe" not in policy[1]
    for kind in ("style", "script"):
        inline = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert len(inline) == 1
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'self' file: 'sha256-{digest}'"


def test_every_number_of_a_table_is_on_the_page(study: Study) -> None:
    for shown, path in zip(data_of(study)["tables"], study.sources["tables"], strict=True):
        table = pd.read_parquet(path)
        assert shown["columns"] == list(table.columns)
        assert len(shown["rows"]) == len(table) > 0
        for given, row in zip(shown["rows"], table.itertuples(index=False), strict=True):
            for value, want in zip(given, row, strict=True):
                if pd.isna(want):
                    assert value is None
                elif isinstance(want, str):
                    assert value == want
                else:
                    assert value == pytest.approx(float(want), rel=1e-9)
        assert all((study.root / href).is_file() for href in shown["files"].values())


def test_a_large_table_is_a_chunk(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medstress.page.write._LARGEST_INSIDE", 10)
    made = make_study(tmp_path)
    write_page(made.spec, made.sources, made.index, made.folder)
    shown, inside = data_of(made)["tables"][0], data_of(study)["tables"][0]
    assert shown["rows"] is None
    assert chunk(made, shown["chunk"]) == inside["rows"]


def test_cells_are_means_of_the_score_rows(study: Study) -> None:
    rows = read_rows(study.root / "scores/cutter/seg.parquet", ScoreRow)
    cells = {(run, kind, level): rest for run, _, kind, level, *rest in chunk(study, "cells.seg")["cells"]}
    assert len([key for key in cells if key[0] == "cutter"]) == (len(TYPES) + len(ATTACKS) + 1) * len(LEVELS)
    clean = {row.sample_id: row.value for row in rows if row.level == 0}
    for (run, kind, level), (before, mean, drop, low, high, counted, given) in cells.items():
        if run != "cutter":
            continue
        own = [row for row in rows if (row.run, row.perturbation, row.level) == (run, kind, level)]
        assert (counted, given) == (len(own), len(own))
        assert drop == pytest.approx(np.mean([clean[row.sample_id] - row.value for row in own]), abs=1e-9)
        assert mean == pytest.approx(np.mean([row.value for row in own]), abs=1e-9)
        assert before == pytest.approx(np.mean([clean[row.sample_id] for row in own]), abs=1e-9)
        assert low < drop < high


def with_unreachable(study: Study) -> pd.DataFrame:
    """The scores of squares, where the first image, of the best clean score, cannot reach the second level of noise."""
    frame = read_scores([path for path in study.sources["scores"] if path.stem == "seg"])
    frame = of_perturbations(study.spec.tables, frame)
    frame = frame.astype({"status": str})
    gone = (frame["sample_id"] == "s_seg0") & (frame["perturbation"] == "gaussian_noise") & (frame["level"] == 2)
    return frame.assign(
        value=frame["value"].mask(gone), status=frame["status"].mask(gone, "unreachable").astype("category")
    )


def test_a_cell_is_a_mean_over_the_pairs_that_count(study: Study) -> None:
    frame = with_unreachable(study)
    data = cells_data(study.spec.tables.of_task("segmentation"), "seg", frame, paired_drops(frame))
    own = next(row for row in data["cells"] if row[:4] == ["cutter", "iou", "gaussian_noise", 2])
    left = range(1, IMAGES)
    clean, perturbed = (np.mean([score(n, level, "gaussian_noise") for n in left]) for level in (0, 2))
    assert own[4:7] == pytest.approx([clean, perturbed, clean - perturbed])
    assert own[-2:] == [IMAGES - 1, IMAGES]
    everything = next(row for row in data["clean"] if row[:2] == ["cutter", "iou"])
    assert everything[2] == pytest.approx(np.mean([score(n, 0, "") for n in range(IMAGES)]))
    assert everything[2] > clean


def test_the_overview_has_the_numbers_of_the_tables(study: Study) -> None:
    frame, spec = with_unreachable(study), study.spec.tables.of_task("segmentation")
    frame = frame[~((frame["perturbation"] == HOLE[0]) & (frame["level"] == HOLE[1]))]
    pairs = paired_drops(frame)
    found = overview_data(spec, "seg", cells_data(spec, "seg", frame, pairs), pairs)
    main = segmentation_main.build(spec, frame).set_index("run")
    assert found["best"] == {"value": pytest.approx(main["iou_clean"].max()), "names": ["cutter", "other"]}
    assert found["steadiest"] == {"value": pytest.approx(main["iou_drop"].min()), "names": ["cutter", "other"]}
    cells = [row[6] for row in cells_data(spec, "seg", frame, pairs)["cells"] if row[0] == "cutter"]
    assert found["steadiest"]["value"] != pytest.approx(np.mean(cells))
    by_type = segmentation_perturbations.build(spec, frame).groupby("perturbation")["drop"].mean()
    assert found["hardest"] == {"value": pytest.approx(by_type.max()), "names": [by_type.idxmax()]}
    assert found["baseline"] is None
    assert found["fewer"] == []


def test_the_overview_of_answers_has_the_numbers_of_their_table(study: Study) -> None:
    frame = read_scores([path for path in study.sources["scores"] if path.stem == "ask"])
    spec = study.spec.tables.of_task("vqa").model_copy(update={"metrics": ["open_f1"]})
    pairs = paired_drops(frame)
    found = overview_data(spec, "ask", cells_data(spec, "ask", frame, pairs), pairs)
    [row] = vqa_main.build(spec, frame).to_dict("records")
    assert found["best"] == {"value": pytest.approx(row["clean"]), "names": ["talker"]}
    assert found["steadiest"] == {"value": pytest.approx(row["drop"]), "names": ["talker"]}


def test_the_overview_names_the_best_baseline(study: Study) -> None:
    frame = with_unreachable(study)
    spec = study.spec.tables.of_task("segmentation").model_copy(update={"baselines": ["other"]})
    pairs = paired_drops(frame)
    found = overview_data(spec, "seg", cells_data(spec, "seg", frame, pairs), pairs)
    assert (found["best"]["names"], found["baseline"]["names"]) == (["cutter"], ["other"])
    assert found["best"]["value"] == pytest.approx(found["baseline"]["value"])
    assert found["steadiest"]["names"] == ["cutter"]


def test_a_cell_shows_the_fixed_sample_and_the_largest_drop(study: Study) -> None:
    first = {kind: [one["sample"] for one in chunk(study, f"pictures.seg.{kind}")["samples"]] for kind in TYPES}
    assert len({samples[0] for samples in first.values()}) == 1
    assert all("s_seg4" in samples for samples in first.values())
    data = chunk(study, "pictures.seg.rotation")
    worst = next(one for one in data["samples"] if one["sample"] == "s_seg4")
    assert set(worst["levels"]) == {"0", "1", "2"}
    assert ["cutter", "s_seg4", 2, "iou", pytest.approx(score(4, 2, "rotation"))] in data["scores"]


def corners(path: str) -> tuple[float, ...]:
    numbers = np.array(re.findall(r"[-0-9.]+", path), float).reshape(-1, 2)
    return (*numbers.min(axis=0), *numbers.max(axis=0))


def test_outlines_are_of_truth_and_prediction_and_the_truth_moves(study: Study) -> None:
    data = chunk(study, "pictures.seg.rotation")
    sample = data["samples"][0]
    assert corners(sample["levels"]["0"]["path"]) == pytest.approx((12, 10, 24, 20), abs=0.3)
    assert corners(sample["levels"]["2"]["path"]) == pytest.approx((16, 10, 28, 20), abs=0.3)
    answer = data["answers"]["cutter"][sample["sample"]]["2"]["path"]
    assert corners(answer) == pytest.approx((14, 10, 26, 20), abs=0.3)


def test_an_outline_has_one_part_for_each_border() -> None:
    mask = square()
    mask[13:16, 15:19] = False
    mask[30, 30] = True
    assert outline(mask).count("M") == 3
    assert outline(np.zeros((5, 5), bool)) == ""


@pytest.mark.parametrize("shape", [(300, 500), (500, 300, 3), (20, 30)])
def test_a_picture_is_reduced_and_looks_alike(shape: tuple[int, ...]) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1]).astype(np.uint8)[None, :], shape[:2])
    image = np.stack([ramp, 255 - ramp, ramp // 2], axis=-1) if len(shape) == 3 else ramp
    data = base64.b64decode(picture(np.ascontiguousarray(image)).removeprefix("data:image/webp;base64,"))
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert max(shown.shape[:2]) == min(224, max(shape))
    assert shown.shape[0] / shown.shape[1] == pytest.approx(shape[0] / shape[1], abs=0.02)
    want = cv2.resize(np.ascontiguousarray(image), shown.shape[1::-1], interpolation=cv2.INTER_AREA)
    want = want if want.ndim == 3 else np.stack([want] * 3, axis=-1)
    assert np.abs(shown.astype(int) - want).mean() < 4


def test_hostile_texts_stay_texts(study: Study) -> None:
    for path in [study.index, *(study.folder / "chunks").iterdir()]:
        text = path.read_text(encoding="utf-8")
        assert "<script>window.broken" not in text, path
        assert "onerror='window" not in text or "<img" not in text, path
    data = chunk(study, "pictures.ask.rotation")
    sample = data["samples"][0]["sample"]
    assert data["answers"]["talker"][sample]["2"]["text"] == f"{HOSTILE} rotation 2"
    assert data_of(study)["datasets"][1]["title"] == f"Questions {HOSTILE}"
    assert json.loads(safe_json([HOSTILE, float("nan"), np.float64(1 / 3), np.int64(3), pd.NA])) == [
        HOSTILE,
        None,
        0.3333333333,
        3,
        None,
    ]


def test_provenance_names_hash_code_time_and_machine(study: Study) -> None:
    data = chunk(study, "provenance")
    record = data["records"]["scores/cutter/seg.parquet"]
    path = study.root / "scores/cutter/seg.parquet"
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record["code"], record["host"], record["seconds"]) == ("0123456789abcdef", "here", 1.5)
    assert data["versions"][record["versions"]] == {"numpy": "2"}
    assert set(data["records"]) == {
        p.relative_to(study.root).as_posix() for some in study.sources.values() for p in some
    }
    assert data["records"]["scores/talker/ask.parquet"]["code"] is None
    assert data_of(study)["origins"]["cutter"]["sha256"] == "ab" * 32


def test_weights_whose_card_has_no_hash_and_trained_tensors_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "trained.safetensors").write_bytes(b"trained")
    (tmp_path / "training.json").write_text("{}")
    data = provenance_data(tmp_path, [tmp_path / "training.json"], [str(tmp_path), str(tmp_path / "absent")])
    assert data["weights"] == {str(tmp_path): hashlib.sha256(b"weights").hexdigest()}
    assert data["records"]["training.json"]["tensors"] == hashlib.sha256(b"trained").hexdigest()


def test_a_hole_is_named_with_the_command_that_fills_it(study: Study) -> None:
    squares, questions = data_of(study)["datasets"]
    command = f"snakemake --profile local results/{study.spec.tables.study}/scores/other/seg.parquet --forcerun predict"
    assert squares["holes"] == [{"run": "other", "condition": HOLE[0], "levels": [HOLE[1]], "command": command}]
    assert questions["holes"] == []


def test_adversarial_images_are_those_that_were_kept(study: Study) -> None:
    kept, lost = (chunk(study, f"pictures.seg.{attack}") for attack in ("pgd", "fgsm"))
    image = kept["samples"][0]["image"]
    own = kept["own"]["cutter"][image]
    assert set(own) == {"1", "2"}
    stored = next(row for row in read_rows(study.sources["adversarial"][0], PerturbedRow) if row.image_id == image)
    assert own["1"]["picture"] == picture(decode_png(stored.png, where="here"))
    assert lost["own"] == {}
    answer = lost["answers"]["cutter"][lost["samples"][0]["sample"]]["2"]["path"]
    assert corners(answer) == pytest.approx((14, 10, 26, 20), abs=0.3)


def test_moved_prompts_show_the_box_that_was_asked_for(study: Study) -> None:
    data = chunk(study, f"pictures.seg.{MOVED}")
    asked = data["samples"][0]["asked"]
    assert corners_of_box(asked["0"]) == (12, 10, 24, 20)
    # Half as long again, around the same centre.
    assert corners_of_box(asked["2"]) == (9, 7.5, 27, 22.5)


def corners_of_box(path: str) -> tuple[float, ...]:
    found = re.fullmatch(r"M(\S+) (\S+)H(\S+)V(\S+)H\1Z", path)
    assert found is not None
    return tuple(map(float, found.groups()))


def test_figures_are_beside_the_page_with_their_captions(study: Study) -> None:
    [figure] = data_of(study)["figures"]
    shown = cv2.imread(str(study.root / figure["png"]))
    assert shown is not None
    assert (figure["height"], figure["width"]) == shown.shape[:2]
    assert (study.root / figure["svg"]).is_file()
    assert (figure["title"], figure["caption"]) == WORDS["severity_curves"]


def test_a_missing_figure_is_named(study: Study, tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match="figures severity_curves are not there"):
        figures_data(study.spec, [], tmp_path)
    (tmp_path / "severity_curves.png").write_bytes(b"no picture")
    with pytest.raises(MedstressError, match="is no PNG file"):
        figures_data(study.spec, [tmp_path / "severity_curves.svg"], tmp_path)


def test_every_figure_has_words_and_they_are_those_of_the_report() -> None:
    report = (Path(__file__).parents[2] / "workflow/report/figure.rst").read_text(encoding="utf-8")
    assert set(WORDS) == set(get_args(FigureName))
    for name, words in WORDS.items():
        assert words.caption in report, name


def test_the_outline_of_a_data_set(study: Study) -> None:
    squares = data_of(study)["datasets"][0]["overview"]
    clean = np.mean([score(image, 0, "") for image in range(IMAGES)])
    assert squares["best"] == {"value": pytest.approx(clean), "names": ["cutter", "other"]}
    # The other run lacks the cell that costs most.
    assert (squares["fewer"], squares["steadiest"]["names"]) == (["other"], ["cutter"])
    by_level = [np.mean([score(n, 0, "rotation") - score(n, k, "rotation") for n in range(IMAGES)]) for k in LEVELS]
    of_runs = [np.mean(by_level), by_level[0]]
    assert squares["hardest"] == {"value": pytest.approx(np.mean(of_runs)), "names": ["rotation"]}


def test_chunks_are_bounded_by_data_sets_and_perturbations(study: Study) -> None:
    conditions = 2 * len(TYPES) + len(ATTACKS) + 1
    assert len(list((study.folder / "chunks").iterdir())) == 2 + conditions + 1
    large = study.spec.tables.model_copy(
        update={
            "datasets": {f"d{n}": "" for n in range(60)},
            "perturbations": [f"t{n}" for n in range(50)],
            "levels": [1, 2, 3, 4, 5],
            "scored_on": {},
            "attacked_datasets": [],
            "prompts": {},
        }
    )
    for spec in (large, study.spec.tables, large.model_copy(update={"perturbations": ["t0"]})):
        asked = samples_of_cells(spec)
        assert (1 + len(spec.levels)) * sum(asked.values()) <= MOST_PICTURES
        assert max(asked.values()) <= 4
    assert any(samples_of_cells(large).values())


def test_a_missing_table_is_named(study: Study) -> None:
    with pytest.raises(MedstressError, match=r"tables segmentation_perturbations, .* are not there"):
        write_page(
            study.spec, dict(study.sources) | {"tables": []}, study.root / "no" / "index.html", study.root / "no" / "p"
        )


def test_licences_lie_beside_the_libraries(study: Study) -> None:
    text = (study.folder / "libraries" / "LICENCES.txt").read_text(encoding="utf-8")
    assert "University of Washington" in text
    assert "MIT License" in text
    assert "Redistributions in binary form" in text
