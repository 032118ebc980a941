"""Whether images have the severity that their level names: SSIM reached against the band, and who cannot reach it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medstress.figures.blocks import nothing_to_draw, shown_kind
from medstress.figures.style import CROSS, GREY, HOLE, PAGE_HEIGHT, PAGE_WIDTH, SMALLEST, colours_of_levels
from medstress.records import PerturbedRow, read_tables
from medstress.table_spec import TableSpec

_ROW = 0.2
_EDGE = 0.95
_COLUMNS = ["perturbation", "level", "ssim", "band_low", "band_high", "status"]
_SPAN = (0.05, 0.95)


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Left: SSIM of all stored images, of all data sets together; right: the share that cannot reach the band.

    A line is from the 5th to the 95th percentile and a dot the median, by level; shaded is the level's band. Types at
    fixed strengths have no band and are hollow. Raises MedstressError where no type has a band.
    """
    frame = read_tables(sorted(sources["perturbed"]), PerturbedRow, _COLUMNS).to_pandas()
    frame = frame[frame["perturbation"].isin(spec.perturbations) & frame["level"].isin(spec.levels)]
    if not frame["band_low"].notna().any():
        raise nothing_to_draw("calibration_quality", "no type is calibrated to a band of SSIM.")
    kinds = list(spec.perturbations)
    height = min(_ROW * len(kinds) + _EDGE, PAGE_HEIGHT)
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    _reached(left, spec, frame, kinds)
    _unreachable(right, spec, frame, kinds)
    left.set_yticks(range(len(kinds)), [shown_kind(spec, name) for name in kinds])
    left.set_ylim(len(kinds) - 0.5, -0.5)
    colours = colours_of_levels(spec.levels)
    handles = [
        Line2D([], [], color=colours[level], marker="o", markersize=3.5, label=f"level {level}")
        for level in spec.levels
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _reached(axes: Axes, spec: TableSpec, frame: pd.DataFrame, kinds: Sequence[str]) -> None:
    colours = colours_of_levels(spec.levels)
    bands = frame.dropna(subset=["band_low"]).drop_duplicates("level")
    for level, low, high in zip(*(bands[name].tolist() for name in ("level", "band_low", "band_high")), strict=True):
        axes.axvspan(low, high, color=colours[level], alpha=0.18, linewidth=0)
    cells = dict(iter(frame.groupby(["perturbation", "level"], observed=True)))
    for row, name in enumerate(kinds):
        for place, level in enumerate(spec.levels):
            if (name, level) not in cells:
                continue
            ssim = cells[name, level]["ssim"]
            y = row + 0.6 * ((place + 0.5) / len(spec.levels) - 0.5)
            low, middle, high = (float(ssim.quantile(share)) for share in (_SPAN[0], 0.5, _SPAN[1]))
            axes.plot([low, high], [y, y], color=colours[level], linewidth=1.1, solid_capstyle="butt")
            fill = "white" if name in spec.fixed else colours[level]
            axes.plot(middle, y, "o", color=colours[level], markersize=2.6, markerfacecolor=fill, markeredgewidth=0.6)
    for row in range(1, len(kinds)):
        axes.axhline(row - 0.5, color="#e4e4e4", linewidth=0.5, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("SSIM of the stored image (median, 5th to 95th percentile)")
    axes.set_xlim(right=1.005)
    # From clean to worst, as levels are read.
    axes.invert_xaxis()


def shares_unreachable(frame: pd.DataFrame, kinds: Sequence[str], levels: Sequence[int]) -> npt.NDArray[np.float64]:
    """float64 [types, levels]: the share of images that no strength brings into the band; NaN without a band."""
    banded = frame[frame["band_low"].notna()]
    shares = (
        (banded["status"] == "unreachable").groupby([banded["perturbation"], banded["level"]], observed=True).mean()
    )
    return np.array([[float(shares.get((name, level), np.nan)) for level in levels] for name in kinds])


def _unreachable(axes: Axes, spec: TableSpec, frame: pd.DataFrame, kinds: Sequence[str]) -> None:
    shares = shares_unreachable(frame, kinds, spec.levels)
    axes.imshow(shares, cmap="OrRd", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    there = set(frame[["perturbation", "level"]].drop_duplicates().itertuples(index=False, name=None))
    for row, column in np.ndindex(*shares.shape):
        share, cell = shares[row, column], (kinds[row], spec.levels[column])
        if cell not in there:
            axes.text(column, row, CROSS, ha="center", va="center", fontsize=7, gid="hole")
        elif np.isnan(share):
            axes.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=HOLE, linewidth=0)
        else:
            colour = "white" if share > 0.6 else "black" if share else GREY
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=SMALLEST, color=colour)
    axes.set_xticks(range(len(spec.levels)), list(map(str, spec.levels)))
    axes.set_xlabel("share unreachable, by level")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
