"""What figures show, against numbers from the records by a few lines of their own."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from medstress.cards.classification import Classes
from medstress.figures import failures
from medstress.figures.blocks import blocks_of
from medstress.figures.registry import FIGURES
from medstress.figures.style import style
from medstress.names import FigureName
from medstress.pixels import encode_png
from medstress.records import ImageRow, PerturbedRow, PredictionRow, SampleRow, ScoreRow, write_rows
from medstress.score.bootstrap import resampled_together, widening
from medstress.table_spec import TableSpec

MakeScore = Callable[..., ScoreRow]
KINDS = ("gaussian_noise", "rotation")


def drawn(name: FigureName, spec: TableSpec, sources: dict[str, list[Path]]) -> Figure:
    with style():
        figure: Figure = import_module(FIGURES[name].module).draw(spec, sources)
        figure.draw_without_rendering()
    return figure


def pairs_of(paths: list[Path], metric: str = "iou", kinds: tuple[str, ...] = KINDS) -> pd.DataFrame:
    """Clean and perturbed values of one object side by side, where both count."""
    rows = pd.concat([pq.read_table(path).to_pandas() for path in paths])
    rows = rows[(rows["metric"] == metric) & rows["status"].isin(["ok", "empty"])]
    key = ["run", "dataset", "sample_id", "object_id"]
    clean = rows[rows["level"] == 0].set_index(key)["value"].rename("clean")
    joined = rows[rows["perturbation"].isin(kinds)].join(clean, on=key, how="inner")
    joined["family"] = joined["run"].str.replace(r"@.*", "", regex=True)
    return joined.assign(drop_=joined["clean"] - joined["value"])


def clean_of(paths: list[Path]) -> pd.DataFrame:
    rows = pd.concat([pq.read_table(path).to_pandas() for path in paths])
    rows = rows[(rows["metric"] == "iou") & (rows["level"] == 0) & (rows["status"] == "ok")]
    return rows.assign(family=rows["run"].str.replace(r"@.*", "", regex=True))


def without(
    tmp_path: Path, paths: list[Path], run: str, dataset: str, kind: str, level: int | None = None
) -> list[Path]:
    """The same scores without those of one cell."""
    kept = []
    for path in paths:
        table = pq.read_table(path)
        frame = table.to_pandas()
        gone = (frame["run"] == run) & (frame["dataset"] == dataset) & (frame["perturbation"] == kind)
        if level is not None:
            gone &= frame["level"] == level
        kept.append(tmp_path / path.parent.name / path.name)
        kept[-1].parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.filter(~gone.to_numpy()), kept[-1])
    return kept


def test_scatter_has_clean_scores_and_drops(toy: Any) -> None:
    figure = drawn("robustness_scatter", toy.spec, toy.sources)
    pairs, clean = pairs_of(toy.sources["scores"]), clean_of(toy.sources["scores"])
    for axes, dataset, runs in zip(
        figure.axes[:2], ("many", "few"), (["box", "net", "net+lora"], ["box", "net"]), strict=True
    ):
        assert [mark.get_label() for mark in axes.containers] == runs
        for mark in axes.containers:
            own = [
                frame[(frame["dataset"] == dataset) & (frame["family"] == mark.get_label())] for frame in (clean, pairs)
            ]
            (x,), (y,) = mark.lines[0].get_data()
            assert (x, y) == pytest.approx((own[0]["value"].mean(), own[1]["drop_"].mean()))
            # Two slabs are too few for intervals.
            assert len(mark.lines[2]) == (2 if dataset == "many" else 0)
    net = figure.axes[0].containers[1]
    (low, high) = net.lines[2][1].get_segments()[0][:, 1]
    assert low < net.lines[0].get_ydata()[0] < high


def test_ranking_is_by_drop_with_the_seeds(toy: Any) -> None:
    figure = drawn("strategy_ranking", toy.spec, toy.sources)
    drops, cleans = figure.axes
    pairs, clean = pairs_of(toy.sources["scores"]), clean_of(toy.sources["scores"])
    pairs, clean = pairs[pairs["dataset"] == "many"], clean[clean["dataset"] == "many"]
    means = pairs[pairs["family"] != "box"].groupby("family")["drop_"].mean().sort_values()
    titles = {"net": "Net", "net+lora": "Net + LoRA"}
    # The ranks of each resample, from the means of patients that are drawn together.
    shares = resampled_together(np.eye(6), np.ones((6, 6)), "many", toy.spec.statistics.resamples)
    # Ranks and noise are over the cells that both have, of which net lacks one.
    key = ["sample_id", "object_id", "perturbation", "level"]
    cells = pairs.loc[pairs["family"] == "net", key]
    own = [pairs[pairs["family"] == run].merge(cells, on=key) for run in means.index]
    patients = sorted(pairs["group_id"].unique())
    weights = [shares[:, one["group_id"].map(patients.index)] for one in own]
    sums = [(weight @ one["drop_"]) / weight.sum(axis=1) for weight, one in zip(weights, own, strict=True)]
    ranks = [1 + (sums[place] > sums[1 - place])[1:] for place in (0, 1)]
    ends = [np.quantile(own, [0.025, 0.975], method="inverted_cdf") for own in ranks]
    assert [text.get_text() for text in drops.get_yticklabels()] == [
        f"{titles[run]}  {place + 1}. [{ends[place][0]:g}\N{EN DASH}{ends[place][1]:g}]"
        for place, run in enumerate(means.index)
    ]
    (band,) = [patch for patch in drops.patches if patch.get_label() == "noise floor"]
    off = np.abs((sums[1] - sums[0])[1:] - (sums[1] - sums[0])[0])
    assert band.get_x() == pytest.approx(means.iloc[0])
    assert band.get_width() == pytest.approx(np.quantile(off, 0.95) * widening(6, 0.95))
    for axes, frame, column in [(drops, pairs, "drop_"), (cleans, clean, "value")]:
        shown = {mark.get_label(): mark.lines[0].get_xdata()[0] for mark in axes.containers}
        assert shown == pytest.approx({run: frame.loc[frame["family"] == run, column].mean() for run in means.index})
        seeds = [line.get_xdata() for line in axes.lines if line.get_label() == "seeds" and len(line.get_xdata())]
        by_seed = frame[frame["family"] == "net+lora"].groupby("seed")[column].mean()
        assert len(seeds) == 1
        assert seeds[0] == pytest.approx(by_seed.to_numpy())


def test_top_perturbations_are_means_of_means(toy: Any) -> None:
    (axes,) = drawn("top_perturbations", toy.spec, toy.sources).axes
    pairs = pairs_of(toy.sources["scores"])
    means = pairs[pairs["family"] != "box"].groupby(["perturbation", "dataset", "family"])["drop_"].mean()
    ranked = means.groupby("perturbation").mean().sort_values(ascending=False)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(ranked.to_numpy())
    names = [f"{place + 1}. {name.replace('_', ' ')}" for place, name in enumerate(ranked.index)]
    assert [text.get_text().rstrip("†") for text in axes.get_yticklabels()] == names
    dots = [sorted(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    assert dots == [pytest.approx(sorted(means[name])) for name in ranked.index]


def test_heat_map_has_every_mean_and_a_cross_for_what_is_missing(toy: Any, tmp_path: Path) -> None:
    scores = without(tmp_path, toy.sources["scores"], "net", "many", "rotation")
    spec = toy.spec.model_copy(update={"fitting": {"rotation": ["many"]}})
    figure = drawn("heat_map", spec, {"scores": scores})
    many, few = figure.axes[:2]
    means = pairs_of(scores).groupby(["dataset", "family", "perturbation"])["drop_"].mean()
    for axes, dataset, runs in [(many, "many", ["box", "net", "net+lora"]), (few, "few", ["box", "net"])]:
        values = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
        # In percentage points.
        expected = [[100 * means.get((dataset, run, kind), np.nan) for kind in KINDS] for run in runs]
        assert values == pytest.approx(np.array(expected), nan_ok=True)
        assert values.shape == (len(runs), 2)
    # Rotation of `net` is missing on `many`; on `few` it is not made, which is grey and no hole.
    assert [text.get_position() for text in many.texts if text.get_gid() == "hole"] == [(1, 1)]
    assert not [text for text in few.texts if text.get_gid() == "hole"]
    assert (len(many.patches), len(few.patches)) == (0, 1)


def test_a_level_without_scores_is_a_gap(toy: Any, tmp_path: Path) -> None:
    scores = without(tmp_path, toy.sources["scores"], "net", "many", "gaussian_noise", 1)
    many, *_ = drawn("severity_curves", toy.spec, {"scores": scores}).axes
    net = many.lines[2].get_ydata()
    assert np.isnan(net).tolist() == [False, True, False]
    assert "1 of 12 cells missing" in many.texts[0].get_text()


def test_adversarial_curves_go_from_clean_over_the_radii(toy: Any, tmp_path: Path) -> None:
    scores = without(tmp_path, toy.sources["scores"], "net", "few", "pgd", 2)
    many, few, _ = drawn("adversarial_curves", toy.spec, {"scores": scores}).axes
    pairs, clean = pairs_of(scores, kinds=("pgd",)), clean_of(scores)
    for axes, dataset, runs in [(many, "many", ["net", "net+lora"]), (few, "few", ["net"])]:
        assert len(axes.lines) == len(runs)
        for line, run in zip(axes.lines, runs, strict=True):
            start = clean[(clean["dataset"] == dataset) & (clean["family"] == run)]["value"].mean()
            own = pairs[(pairs["dataset"] == dataset) & (pairs["family"] == run)].groupby("level")["drop_"].mean()
            expected = [start, *(start - own.get(level, np.nan) for level in (1, 2))]
            assert line.get_xdata().tolist() == [0, 2, 4]
            assert line.get_ydata() == pytest.approx(expected, nan_ok=True)
    assert "1 of 2 cells missing" in few.texts[0].get_text()


def test_calibration_has_medians_and_shares(toy: Any) -> None:
    left, right = drawn("calibration_quality", toy.spec, toy.sources).axes
    frame = pd.concat([pq.read_table(path).to_pandas() for path in toy.sources["perturbed"]])
    medians = frame.groupby(["perturbation", "level"])["ssim"].median()
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in dots] == pytest.approx(medians.to_numpy())
    assert [line.get_markerfacecolor() == "white" for line in dots] == [False, False, True, True]
    shares = np.ma.filled(right.images[0].get_array().astype(float), np.nan)
    # Two of eight images cannot reach level 2; rotation has no bands.
    assert shares == pytest.approx(np.array([[0, 2 / 8], [np.nan, np.nan]]), nan_ok=True)
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in left.patches] == [
        pytest.approx((0.90, 0.98)),
        pytest.approx((0.80, 0.84)),
    ]


CLASSES = Classes(names=["ct", "mri", "oct"])


def small_study(folder: Path, make_score: MakeScore) -> tuple[dict[str, Any], dict[str, list[Path]]]:
    """Images of four modalities, to be classified, one of X-ray alone: the answers about MRI and OCT turn over."""
    modalities = [*["ct"] * 4, *["mri"] * 3, *["oct"] * 3, "xray"]
    count = len(modalities)
    picture = encode_png(np.full((16, 24), 90, np.uint8))
    images = [ImageRow(f"i{n}", f"p{n}", "test", name, picture, 16, 24) for n, name in enumerate(modalities)]
    samples = [SampleRow(f"s-{n}", f"i{n}", "classification", labels=(n % 3,)) for n in range(count)]
    perturbed = [
        PerturbedRow(f"i{n}", "jpeg", 1, picture, None, None, 1.0, 0.9, 0.8, 1.0, 1, "in_band") for n in range(count)
    ]
    truth = {
        "clean": [*[1.0, 1.0, 0.0, 0.0], *[1.0] * 3, *[0.0] * 3, 1.0],
        "jpeg": [*[1.0, 1.0, 0.0, 0.0], *[0.0] * 3, *[1.0] * 3, 1.0],
    }
    answers, scores = [], []
    for kind, level in [("clean", 0), ("jpeg", 1)]:
        for n, value in enumerate(truth[kind]):
            named = n % 3 if value else (n + 1) % 3
            logits = tuple(float(place == named) for place in range(3))
            answers.append(PredictionRow(f"s-{n}", "", kind, level, None, "ok", logits=logits))
            scores.append(make_score(str(n), kind, level, value, dataset="cells", metric="accuracy"))
    sources: dict[str, list[Path]] = {}
    for kind, path, row, rows in [
        ("images", "datasets/cells/images.parquet", ImageRow, images),
        ("samples", "datasets/cells/samples.parquet", SampleRow, samples),
        ("perturbed", "perturbed/cells/jpeg.parquet", PerturbedRow, perturbed),
        ("predictions", "predictions/net/cells.parquet", PredictionRow, answers),
        ("scores", "scores/net/cells.parquet", ScoreRow, scores),
    ]:
        write_rows(folder / path, row, rows)  # type: ignore[type-var]
        sources[kind] = [folder / path]
    changes = {
        "datasets": {"cells": "Cells"},
        "split_units": {"cells": "patient"},
        "runs": {"net": "Net"},
        "baselines": [],
        "perturbations": ["jpeg"],
        "fixed": [],
        "levels": [1],
        "tasks": {"cells": "classification"},
        "classes": {"cells": CLASSES},
    }
    return changes, sources


def test_flip_matrix_counts_pairs(tmp_path: Path, make_spec: Any, make_score: MakeScore) -> None:
    changes, sources = small_study(tmp_path, make_score)
    (axes,) = drawn("flip_matrix", make_spec(**changes), sources).axes
    # Rows: right and wrong about the clean image; columns: about the perturbed one.
    assert [text.get_text() for text in axes.texts] == ["3\n27%", "3\n27%", "3\n27%", "2\n18%"]
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(np.array([[3, 3], [3, 2]]) / 11)


def test_flip_matrix_leaves_out_who_is_never_right(tmp_path: Path, make_spec: Any, make_score: MakeScore) -> None:
    changes, sources = small_study(tmp_path, make_score)
    wrong = [
        make_score("0", kind, level, 0.0, run="other", dataset="cells", metric="accuracy")
        for kind, level in [("clean", 0), ("jpeg", 1)]
    ]
    sources["scores"].append(tmp_path / "scores/other/cells.parquet")
    write_rows(sources["scores"][-1], ScoreRow, wrong)
    changes["runs"] = {"net": "Net", "other": "Other"}
    figure = drawn("flip_matrix", make_spec(**changes), sources)
    assert len(figure.axes) == 1
    assert figure.get_supxlabel() == "Left out, as no answer about a\nclean image is right: Other on\nCells."


def test_radar_has_means_by_modality(tmp_path: Path, make_spec: Any, make_score: MakeScore) -> None:
    changes, sources = small_study(tmp_path, make_score)
    clean, perturbed, _ = drawn("radar", make_spec(**changes), sources).axes
    # One image is too few for a spoke.
    assert [text.get_text() for text in clean.get_xticklabels()] == ["CT\n4 images", "MRI\n3 images", "OCT\n3 images"]
    # The last point closes the line.
    assert clean.lines[0].get_ydata() == pytest.approx([0.5, 1, 0, 0.5])
    assert perturbed.lines[0].get_ydata() == pytest.approx([0.5, 0, 1, 0.5])


def test_gallery_shows_what_was_answered(tmp_path: Path, make_spec: Any, make_score: MakeScore) -> None:
    changes, sources = small_study(tmp_path, make_score)
    figure = drawn("failure_gallery", make_spec(**changes), sources)
    clean, perturbed = figure.axes[:2]
    assert len(figure.axes) == 2 * 3
    assert clean.get_xlabel() == "clean\nanswer: mri\ntruth: mri"
    assert perturbed.get_xlabel() == "perturbed\nanswer: oct"
    assert clean.images[0].get_array().shape == (16, 24)


def test_gallery_takes_the_largest_drops(toy: Any) -> None:
    (block,) = blocks_of(toy.spec, toy.sources["scores"])
    chosen = failures.largest_drops(block, 4)
    pairs = pairs_of(toy.sources["scores"])
    pairs = pairs[pairs["family"] != "box"]
    first = chosen[0]
    assert first.clean - first.perturbed == pytest.approx(pairs["drop_"].max())
    assert len({(one.dataset, one.sample_id) for one in chosen}) == 4
    assert {one.perturbation for one in chosen[:4]} == set(KINDS)
    shown = failures.shown_at(first, toy.sources)
    # The contours that are drawn score what the record says, where the whole object is in view.
    answer, truth = failures.mask_of(shown.clean), shown.clean.truth
    assert answer is not None
    assert truth is not None
    assert (answer & truth).sum() / (answer | truth).sum() == pytest.approx(first.clean)


def test_legends_and_labels_stay_on_the_page(toy: Any) -> None:
    for name in ("severity_curves", "robustness_scatter", "strategy_ranking", "heat_map", "failure_gallery"):
        figure = drawn(name, toy.spec, toy.sources)  # type: ignore[arg-type]
        page = figure.bbox.padded(1)
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert box is not None
            assert page.x0 <= box.x0 < box.x1 <= page.x1, name
            assert page.y0 <= box.y0 < box.y1 <= page.y1, name
        for legend in [one for axes in figure.axes if (one := axes.get_legend())] + figure.legends:
            box = legend.get_window_extent()
            assert page.x0 <= box.x0 < box.x1 <= page.x1, name
            assert page.y0 <= box.y0 < box.y1 <= page.y1, name


def test_marks_that_hide_each_other_stand_side_by_side(tmp_path: Path, make_spec: Any, make_score: MakeScore) -> None:
    values = {"net": (0.9, 0.8), "twin": (0.9, 0.8), "other": (0.5, 0.3)}
    rows = [
        make_score("a", kind, level, own[level], run=run)
        for run, own in values.items()
        for kind, level in [("clean", 0), ("jpeg", 1)]
    ]
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = make_spec(datasets={"many": "Many"}, runs={run: run for run in values}, perturbations=["jpeg"], levels=[1])
    axes = drawn("robustness_scatter", spec, {"scores": [tmp_path / "scores.parquet"]}).axes[0]
    places = [mark.lines[0].get_transform().transform(mark.lines[0].get_xydata())[0] for mark in axes.containers]
    assert places[1][0] - places[0][0] == pytest.approx(4.5 / 72 * 200)
    assert places[1][1] == pytest.approx(places[0][1])
    assert places[2] == pytest.approx(axes.transData.transform([0.5, 0.2]))


def test_baselines_do_not_stretch_the_scale(tmp_path: Path, make_spec: Any, make_score: MakeScore) -> None:
    rows = []
    for run, clean, jpeg in [("box", 0.9, 0.1), ("net", 0.9, 0.8)]:
        rows += [make_score("a", "clean", 0, clean, run=run), make_score("a", "jpeg", 1, jpeg, run=run)]
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = make_spec(datasets={"many": "Many"}, runs={"box": "Box", "net": "Net"}, perturbations=["jpeg"], levels=[1])
    axes = drawn("heat_map", spec, {"scores": [tmp_path / "scores.parquet"]}).axes[0]
    assert axes.images[0].get_clim() == pytest.approx((-10, 10))
    assert [patch.get_gid() for patch in axes.patches] == ["beyond"]
    assert [text.get_text() for text in axes.texts] == ["80", "10"]
