"""What perturbed images look like, and what the runs answer: a row a perturbation, a column a level."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from medstress.errors import MedstressError
from medstress.figures.blocks import shown_kind
from medstress.figures.pictures import bare, halo, outline, path_of, window_of
from medstress.figures.style import PAGE_HEIGHT, PAGE_WIDTH, colours_of, legend_columns
from medstress.perturb.warp import warp_mask
from medstress.pixels import Image, Mask, decode_mask, decode_png
from medstress.records import ImageRow, PerturbedRow, PredictionRow, SampleRow, read_groups, read_rows, read_tables
from medstress.runs import family_of, named_parts
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec

_ROWS = 6
_EDGE = 0.5
# Outlines of more runs hide each other and the picture.
_MOST_RUNS = 4
# One of each family first; the rest of the study's types fill up.
_FIRST = ("gaussian_noise", "motion_blur", "jpeg", "rotation", "mri_motion", "ct_metal_streaks")
_WARNING = "#D55E00"


@dataclass(frozen=True)
class _Subject:
    """The object that a row shows, with its clean image [H, W] or [H, W, 3] and mask [H, W]."""

    image_id: str
    sample_id: str
    object_id: str
    image: Image
    mask: Mask


@dataclass(frozen=True)
class _Cell:
    """One picture with the truth in it; `caption` in small letters, `warns` where the cell is left out of means."""

    level: int
    image: Image
    truth: Mask
    caption: str
    warns: bool


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Up to six perturbations at all levels, with the outlines of the truth and of up to four runs' answers.

    As many rows as a page holds go through the data sets in turn; a row shows the largest object of a data set, or the
    next largest where the data set comes up again. SSIM is that of the whole image, of which a window is shown.
    """
    columns = 1 + len(spec.levels)
    row = PAGE_WIDTH / (columns + 0.35) * 1.14
    chosen = _rows(spec)[: int((PAGE_HEIGHT - _EDGE) / row)]
    size = (PAGE_WIDTH, row * len(chosen) + _EDGE)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.015, h_pad=0.02, wspace=0, hspace=0))
    grid = figure.subplots(len(chosen), columns, squeeze=False)
    shown = _shown(spec)
    titles, colours = dataset_titles(spec), colours_of(shown)
    for index, (kind, dataset) in enumerate(chosen):
        path = path_of("image_grid", sources["perturbed"], dataset, kind)
        subject = _subject(sources, path, dataset, [name for _, name in chosen[:index]].count(dataset))
        cells = {cell.level: cell for cell in _cells(subject, path, spec.levels)}
        answers = {
            run: _answers(sources["predictions"], run, dataset, kind, subject)
            for run in spec.runs_on(dataset)
            if run in shown
        }
        window = window_of(subject.mask)
        for axes, level in zip(grid[index], (0, *spec.levels), strict=True):
            _picture(axes, colours, cells.get(level), {run: given.get(level) for run, given in answers.items()}, window)
            if index == 0:
                axes.set_title("clean" if level == 0 else f"level {level}")
        grid[index][0].set_ylabel(f"{titles[dataset]}\n{shown_kind(spec, kind)}", fontsize=7)
    truth = Line2D([], [], color="white", linewidth=1.4, label="truth", path_effects=halo())
    runs = [Line2D([], [], color=colours[run], linewidth=1.4, label=run_titles(spec)[run]) for run in shown]
    places = legend_columns(["truth", *(str(line.get_label()) for line in runs)], PAGE_WIDTH)
    figure.legend(handles=[truth, *runs], loc="outside lower center", ncols=places)
    return figure


def _shown(spec: TableSpec) -> list[str]:
    """Up to four runs, in the study's order: models as they come, then baselines, and strategies where no model is."""
    plain = [run for run in spec.runs if named_parts(run)["strategy"] is None]
    candidates = plain if set(plain) - set(spec.baselines) else list(spec.runs)
    chosen = sorted(candidates, key=lambda run: run in spec.baselines)[:_MOST_RUNS]
    return [run for run in spec.runs if run in chosen]


def _rows(spec: TableSpec) -> list[tuple[str, str]]:
    """Up to six types of the study, in the study's order, each with the data set that was shown least so far."""
    preferred = [name for name in _FIRST if name in spec.perturbations]
    preferred += [name for name in spec.perturbations if name not in preferred]
    rows: list[tuple[str, str]] = []
    for kind in (name for name in spec.perturbations if name in preferred[:_ROWS]):
        fitting = [dataset for dataset in spec.datasets if kind in spec.perturbations_on(dataset)]
        rows.append((kind, min(fitting, key=[dataset for _, dataset in rows].count)))
    return rows


def _subject(sources: Mapping[str, Sequence[Path]], perturbed: Path, dataset: str, place: int) -> _Subject:
    """The object in the `place`-th image of a data set, where images are ordered by their largest object's share."""
    shown = set(read_tables([perturbed], PerturbedRow, ["image_id"])["image_id"].to_pylist())
    images = path_of("image_grid", sources["images"], dataset, "images")
    sizes = {
        row.image_id: (row.height, row.width)
        for row in read_rows(images, ImageRow, pixels=False)
        if row.image_id in shown
    }
    best: dict[str, tuple[float, str, str, Mask]] = {}
    for sample in read_rows(path_of("image_grid", sources["samples"], dataset, "samples"), SampleRow):
        if sample.image_id not in sizes:
            continue
        for item in sample.objects:
            mask = decode_mask(item.mask, *sizes[sample.image_id])
            share = float(mask.mean())
            if sample.image_id not in best or share > best[sample.image_id][0]:
                best[sample.image_id] = (share, sample.sample_id, item.object_id, mask)
    if not best:
        raise MedstressError(f"figure image_grid: {dataset} has no object in its perturbed images. Check its split.")
    ordered = sorted(best, key=lambda name: (-best[name][0], name))
    image_id = ordered[place % len(ordered)]
    _, sample_id, object_id, mask = best[image_id]
    png = next(row.png for group in read_groups(images, ImageRow) for row in group if row.image_id == image_id)
    return _Subject(image_id, sample_id, object_id, decode_png(png, where=f"{images}, {image_id}"), mask)


def _cells(subject: _Subject, perturbed: Path, levels: Sequence[int]) -> Iterator[_Cell]:
    yield _Cell(0, subject.image, subject.mask, "", False)
    found = 0
    for group in read_groups(perturbed, PerturbedRow):
        for row in group:
            if row.image_id != subject.image_id or row.level not in levels:
                continue
            truth = subject.mask if row.warp is None else warp_mask(subject.mask, row.warp)
            unreachable = row.status == "unreachable"
            caption = f"SSIM {row.ssim:.2f}" + (" unreachable" if unreachable else "")
            image = decode_png(row.png, where=f"{perturbed}, {row.image_id} level {row.level}")
            yield _Cell(row.level, image, truth, caption, unreachable)
            found += 1
        if found == len(levels):
            return


def _answers(paths: Sequence[Path], run: str, dataset: str, kind: str, subject: _Subject) -> dict[int, Mask]:
    """The masks that a run gave for the object, by level; nothing where it gave none."""
    columns = ["sample_id", "object_id", "perturbation", "level", "mask"]
    # Of a strategy's seeds, the first by name.
    path = min((one for one in paths if (family_of(one.parent.name), one.stem) == (run, dataset)), default=None)
    if path is None:
        raise MedstressError(f"figure image_grid: no predictions of {run} on {dataset}. Make them first.")
    table = read_tables([path], PredictionRow, columns)
    own = (pc.field("sample_id") == subject.sample_id) & (pc.field("object_id") == subject.object_id)
    rows = table.filter(own & ((pc.field("level") == 0) | (pc.field("perturbation") == kind))).to_pylist()
    height, width = subject.mask.shape
    return {row["level"]: decode_mask(row["mask"], height, width) for row in rows if row["mask"] is not None}


def _picture(
    axes: Axes,
    colours: Mapping[str, str],
    cell: _Cell | None,
    answers: Mapping[str, Mask | None],
    window: tuple[slice, slice],
) -> None:
    bare(axes)
    if cell is None:
        axes.set_xlabel("no image", fontsize=6, color=_WARNING)
        return
    axes.imshow(cell.image[window], cmap="gray", vmin=0, vmax=255)
    outline(axes, cell.truth[window], "white", 0.9, haloed=True)
    for run, mask in answers.items():
        if mask is not None:
            outline(axes, mask[window], colours[run], 0.9)
    colour = _WARNING if cell.warns else "black"
    axes.set_xlabel(cell.caption, fontsize=6, color=colour, labelpad=1.5)
