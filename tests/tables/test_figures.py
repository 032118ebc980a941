"""Figures as files: the same bytes again, with every data set and run in them."""

from importlib import import_module
from pathlib import Path
from typing import get_args

import cv2
import matplotlib as mpl
import pytest

from medstress.config import FigureName
from medstress.errors import MedstressError
from medstress.figures.registry import FIGURES
from medstress.figures.style import style
from medstress.figures.write import write_figure


def test_names_are_those_of_the_configuration() -> None:
    assert list(FIGURES) == list(get_args(FigureName))


@pytest.mark.parametrize("name", get_args(FigureName))
def test_drawn_twice_with_the_same_bytes(name: FigureName, toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths = [{kind: tmp_path / f"{turn}.{kind}" for kind in ("svg", "png")} for turn in (1, 2)]
    write_figure(toy.spec, name, toy.sources, paths[0])
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "mine"}):  # the user's settings do not matter
        write_figure(toy.spec, name, toy.sources, paths[1])
    for kind in ("svg", "png"):
        assert paths[0][kind].read_bytes() == paths[1][kind].read_bytes()
    picture = cv2.imread(str(paths[0]["png"]))
    assert picture is not None
    assert picture.shape[1] == 1400  # 7 inches at 200 dots
    assert b"<dc:date>" not in paths[0]["svg"].read_bytes()


def test_severity_curves_show_the_means(toy) -> None:  # type: ignore[no-untyped-def]
    with style():
        figure = import_module(FIGURES["severity_curves"].module).draw(toy.spec, toy.sources)
    many, few = figure.axes
    assert [axes.get_title(loc="left") for axes in (many, few)] == ["Many patients", "Few slabs"]
    # A solid and a dashed line a run; the net moves one pixel more a level, so its IoU falls.
    assert len(many.lines) == len(few.lines) == 4
    net = many.lines[2].get_ydata()
    assert len(net) == 3
    assert net[0] > net[1] > net[2]
    assert "too few for intervals" in few.texts[0].get_text()
    assert "too few" not in many.texts[0].get_text()
    assert (len(many.collections), len(few.collections)) == (4, 0)  # bands


def test_image_grid_goes_through_the_data_sets_and_marks_unreachable_cells(toy) -> None:  # type: ignore[no-untyped-def]
    with style():
        figure = import_module(FIGURES["image_grid"].module).draw(toy.spec, toy.sources)
    assert len(figure.axes) == 2 * 3
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert labels == ["Many patients\ngaussian noise", "Few slabs\nrotation"]
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions == ["", "SSIM 0.94", "SSIM 0.85 unreachable", "", "SSIM 0.94", "SSIM 0.84"]
    # Truth and two runs are outlined, where the runs answered.
    assert [len(axes.collections) for axes in figure.axes[:1]] == [3]


def test_missing_records_are_named(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    outputs = {kind: tmp_path / f"grid.{kind}" for kind in ("svg", "png")}
    with pytest.raises(MedstressError, match="there are no samples and no predictions to draw"):
        write_figure(toy.spec, "image_grid", toy.sources | {"samples": [], "predictions": []}, outputs)
    with pytest.raises(MedstressError, match=r"many/gaussian_noise\.parquet is not among the records"):
        write_figure(toy.spec, "image_grid", toy.sources | {"perturbed": toy.sources["perturbed"][1:]}, outputs)
    assert not list(tmp_path.iterdir())
