"""Figures as files: the same bytes again, with every data set and run in them."""

from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import get_args

import cv2
import matplotlib as mpl
import pytest

from medstress.errors import MedstressError
from medstress.figures import image_grid
from medstress.figures.registry import FIGURES
from medstress.figures.style import PAGE_HEIGHT, looks_of, style
from medstress.figures.write import write_figure
from medstress.names import FigureName
from medstress.records import ScoreRow, write_rows


def test_names_are_those_of_the_configuration() -> None:
    assert list(FIGURES) == list(get_args(FigureName))


# What the toy study, one modality and one task, has nothing for.
_EMPTY = ("radar", "flip_matrix")


@pytest.mark.parametrize("name", _EMPTY)
def test_a_figure_with_nothing_to_show_says_so(name: FigureName, toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MedstressError, match=f"figure {name}: .* Leave the figure out"):
        write_figure(toy.spec, name, toy.sources, {kind: tmp_path / f"figure.{kind}" for kind in ("svg", "png")})


@pytest.mark.parametrize("name", [name for name in get_args(FigureName) if name not in _EMPTY])
def test_drawn_twice_with_the_same_bytes(name: FigureName, toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths = [{kind: tmp_path / f"{turn}.{kind}" for kind in ("svg", "png")} for turn in (1, 2)]
    write_figure(toy.spec, name, toy.sources, paths[0])
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "mine"}):  # the user's settings do not matter
        write_figure(toy.spec, name, toy.sources, paths[1])
    for kind in ("svg", "png"):
        assert paths[0][kind].read_bytes() == paths[1][kind].read_bytes()
    picture = cv2.imread(str(paths[0]["png"]))
    assert picture is not None
    assert picture.shape[1] in (680, 1400)  # a column of 3.4 or a page of 7 inches at 200 dots
    assert b"<dc:date>" not in paths[0]["svg"].read_bytes()


def test_severity_curves_show_the_means(toy) -> None:  # type: ignore[no-untyped-def]
    with style():
        figure = import_module(FIGURES["severity_curves"].module).draw(toy.spec, toy.sources)
    many, few, _ = figure.axes
    assert [axes.get_title(loc="left") for axes in (many, few)] == ["Many patients", "Few slabs"]
    # A solid and a dashed line a run, of which `few` lacks one; the net moves one pixel more a level, so its IoU falls.
    assert (len(many.lines), len(few.lines)) == (6, 4)
    net = many.lines[2].get_ydata()
    assert len(net) == 3
    assert net[0] > net[1] > net[2]
    assert "too few for intervals" in few.texts[0].get_text()
    assert "too few" not in many.texts[0].get_text()
    assert (len(many.collections), len(few.collections)) == (3, 0)  # bands, of solid lines


def test_severity_curves_are_not_moved_by_what_is_left_out(tmp_path: Path, make_spec, make_score) -> None:  # type: ignore[no-untyped-def]
    # Two objects fall by .1 a level; the worse one cannot reach level 2, and the mean of the other alone would rise.
    rows = []
    for name, clean, last in [("a", 0.9, "ok"), ("b", 0.3, "unreachable")]:
        rows += [make_score(name, "clean", 0, clean), make_score(name, "jpeg", 1, clean - 0.1)]
        rows.append(make_score(name, "jpeg", 2, clean - 0.2, last))
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = make_spec(datasets={"many": "Many"}, runs={"net": "Net"}, perturbations=["jpeg"], metrics=["iou"])
    with style():
        figure = import_module(FIGURES["severity_curves"].module).draw(spec, {"scores": [tmp_path / "scores.parquet"]})
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.6, 0.5, 0.4])


def test_severity_curves_of_distances_rise(tmp_path: Path, make_spec, make_score) -> None:  # type: ignore[no-untyped-def]
    rows = []
    for name, rise in zip("abcde", (1, 2, 3, 4, 5), strict=True):
        rows += [make_score(name, "clean", 0, 2.0, metric="hd95")]
        rows += [make_score(name, "jpeg", 1, 2.0 + rise, metric="hd95")]
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = make_spec(
        datasets={"many": "Many"}, runs={"net": "Net"}, perturbations=["jpeg"], levels=[1], metrics=["hd95"]
    )
    with style():
        figure = import_module(FIGURES["severity_curves"].module).draw(spec, {"scores": [tmp_path / "scores.parquet"]})
    axes = figure.axes[0]
    assert axes.get_ylabel() == "mean HD95 (pixels)"
    assert axes.lines[0].get_ydata() == pytest.approx([2, 5])
    # The band starts at nothing at clean and is the interval of the rise at the level.
    band = axes.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 0][:, 1] == pytest.approx(2)
    assert band[band[:, 0] == 1][:, 1].min() < 5 < band[band[:, 0] == 1][:, 1].max()


def test_seven_runs_stay_readable(tmp_path: Path, make_spec, make_score) -> None:  # type: ignore[no-untyped-def]
    titles = [
        "Box fill",
        "GrabCut",
        "Foundation model",
        "Foundation model",
        *(f"Foundation model + {name}" for name in ("Full", "LoRA")),
    ]
    runs = dict(zip(["box", "grabcut", "sam", "sam2", "sam+full", "sam+lora"], titles, strict=True))
    runs["sam+decoder_only"] = "Foundation model + Decoder only"
    rows = []
    for place, run in enumerate(runs):
        for kind in ("jpeg", "rotation"):
            for patient in "abcdef":
                rows += [make_score(patient, "clean", 0, 0.9 - place / 10, run=run)] if kind == "jpeg" else []
                rows += [make_score(patient, kind, 1, 0.8 - place / 10, run=run)]
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = make_spec(
        datasets={"many": "Many", "more": "More"},
        split_units={"many": "patient", "more": "patient"},
        runs=runs,
        perturbations=["jpeg", "rotation"],
        levels=[1],
    )
    with style():
        figure = import_module(FIGURES["severity_curves"].module).draw(spec, {"scores": [tmp_path / "scores.parquet"]})
        figure.draw_without_rendering()
    many = figure.axes[0]
    # Bands of seven runs would cover the lines, and no two runs share a colour.
    assert (len(many.lines), len(many.collections)) == (14, 0)
    assert len({line.get_color() for line in many.lines}) == 7
    legend = figure.axes[-1].get_legend()
    shown = [text.get_text() for text in legend.get_texts()]
    assert {"Foundation model (sam)", "Foundation model (sam2)", "1 type at strengths of a table†"} < set(shown)
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= many.get_window_extent().y0


def test_image_grid_goes_through_the_data_sets_and_marks_unreachable_cells(toy) -> None:  # type: ignore[no-untyped-def]
    with style():
        figure = import_module(FIGURES["image_grid"].module).draw(toy.spec, toy.sources)
    assert len(figure.axes) == 2 * 3
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels == ["Many patients\ngaussian noise", "Few slabs\nrotation†"]
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions == ["", "SSIM 0.94", "SSIM 0.85 unreachable", "", "SSIM 0.94", "SSIM 0.84"]
    # Truth and two runs are outlined, where the runs answered; the strategy is not.
    assert [len(axes.collections) for axes in figure.axes[:1]] == [3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["truth", "Box_fill", "Net"]


def test_image_grid_shows_four_runs(make_spec) -> None:  # type: ignore[no-untyped-def]
    names = ["box", "fill", "a", "b", "c", "a+lora"]
    spec = make_spec(runs={name: name for name in names}, baselines=["box", "fill"])
    assert image_grid._shown(spec) == ["box", "a", "b", "c"]
    # Without another model strategies are shown, and models go before baselines.
    only = make_spec(
        runs={name: name for name in ["box", "fill", "a+lora", "a+full", "a+head"]}, baselines=["box", "fill"]
    )
    assert image_grid._shown(only) == ["box", "a+lora", "a+full", "a+head"]


def test_image_grid_draws_strategies_where_no_model_is(toy) -> None:  # type: ignore[no-untyped-def]
    runs = {name: title for name, title in toy.spec.runs.items() if name != "net"}
    spec = toy.spec.model_copy(update={"runs": runs})
    with style():
        figures = [
            image_grid.draw(spec, toy.sources | {"predictions": toy.sources["predictions"][::turn]}) for turn in (1, -1)
        ]
    segments = [[line.get_paths()[0].vertices.tolist() for line in figure.axes[0].collections] for figure in figures]
    # Of two seeds the first is shown, whatever the order of the files: it is right on the clean image.
    assert segments[0] == segments[1]
    truth, _, lora = segments[0]
    assert lora == truth


def test_missing_records_are_named(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    outputs = {kind: tmp_path / f"grid.{kind}" for kind in ("svg", "png")}
    with pytest.raises(MedstressError, match="there are no samples and no predictions to draw"):
        write_figure(toy.spec, "image_grid", toy.sources | {"samples": [], "predictions": []}, outputs)
    with pytest.raises(MedstressError, match=r"many/gaussian_noise\.parquet is not among the records"):
        write_figure(toy.spec, "image_grid", toy.sources | {"perturbed": toy.sources["perturbed"][1:]}, outputs)
    assert not list(tmp_path.iterdir())


def test_no_two_runs_look_alike():
    runs = [f"run{index}" for index in range(20)]
    looks = looks_of(runs, runs[:3])
    assert list(looks) == runs
    assert len(set(looks.values())) == 20
    assert len({looks[run].colour for run in runs[3:13]}) == 10
    # Where a colour comes again, the marker and the line are others.
    for one, other in combinations(looks.values(), 2):
        if one.colour == other.colour:
            assert one.marker != other.marker
            assert one.line != other.line
    greys = [looks[run].colour for run in runs[:3]]
    assert all(colour[1:3] == colour[3:5] == colour[5:] for colour in greys)


def test_no_figure_is_higher_than_a_page(tmp_path: Path, make_spec, make_score) -> None:  # type: ignore[no-untyped-def]
    datasets = [f"d{index}" for index in range(40)]
    rows = []
    for dataset in datasets:
        rows += [make_score("a", "clean", 0, 0.9, dataset=dataset), make_score("a", "jpeg", 1, 0.8, dataset=dataset)]
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = make_spec(
        datasets={dataset: dataset for dataset in datasets},
        split_units=dict.fromkeys(datasets, "patient"),
        runs={"net": "Net"},
        perturbations=["jpeg"],
        levels=[1],
    )
    for name in ("severity_curves", "robustness_scatter", "heat_map"):
        with style():
            figure = import_module(FIGURES[name].module).draw(spec, {"scores": [tmp_path / "scores.parquet"]})
        assert figure.get_figheight() <= PAGE_HEIGHT + 1e-9
        shown = sum(bool(axes.get_title(loc="left")) for axes in figure.axes)
        assert 0 < shown < 40
        assert figure.get_supxlabel().startswith(f"{40 - shown} more ")
