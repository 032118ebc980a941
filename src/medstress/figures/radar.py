"""Scores by modality: one spoke a modality, one line a run, clean images beside perturbed ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator

from medstress.figures.blocks import Block, blocks_of, nothing_to_draw
from medstress.figures.labels import run_handles, score_label
from medstress.figures.panels import Panels, panelled
from medstress.figures.style import SMALLEST, looks_of
from medstress.records import ImageRow, SampleRow, read_tables
from medstress.score.titles import plural
from medstress.table_spec import TableSpec

_PANEL_HEIGHT = 1.2
# Fewer spokes span no area.
_FEWEST = 3
# A mean of fewer images says nothing of their modality.
_FEWEST_IMAGES = 3
_NAMES = {"ct": "CT", "mri": "MRI", "oct": "OCT", "xray": "X-ray"}
_SIDES = {"clean": "clean images", "perturbed": "perturbed images"}


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Mean scores over the samples of each modality, of all data sets of the task that have three images of it or more.

    Clean is the mean of the clean sides of the pairs, so that both radars are of the same pairs. Spokes are not
    rescaled: all have the scale of the metric from 0. A run without scores of a modality has a gap there; one that has
    fewer than three is not shown. Raises MedstressError where no task has three modalities with three images.
    """
    blocks = blocks_of(spec, sources["scores"])
    found = [(block, means_by_modality(block, sources)) for block in blocks]
    shown = [(block, means) for block, means in found if means["modality"].nunique() >= _FEWEST and _lines(means)]
    if not shown:
        raise nothing_to_draw("radar", f"no task has scores of {_FEWEST} modalities with {_FEWEST_IMAGES} images each.")
    asked = [Panels(2, run_handles(block.spec, _lines(means)), polar=True) for block, means in shown]
    figure, panels = panelled(asked, _PANEL_HEIGHT)
    for (block, means), axes in zip(shown, panels, strict=True):
        for place, side in zip(axes, _SIDES, strict=False):
            _panel(place, block, means, side)
    return figure


def _lines(means: pd.DataFrame) -> list[str]:
    """The runs that have scores of three modalities."""
    counted = means.groupby("run", observed=True)["modality"].nunique()
    return [str(run) for run in counted.index[counted >= _FEWEST]]


def means_by_modality(block: Block, sources: Mapping[str, Sequence[Path]]) -> pd.DataFrame:
    """One row a run and modality of three images or more: means `clean`, `perturbed`, counts `images`, `datasets`."""
    metric = block.metric_on(block.spec.datasets)
    parts = []
    for dataset in block.spec.datasets:
        pairs = block.pairs_on(dataset, metric)
        parts.append(pairs.astype({"run": str, "sample_id": str}).merge(_images(sources, dataset), on="sample_id"))
    rows = pd.concat(parts)
    grouped = rows.groupby(["run", "modality"])
    means = grouped.agg(clean=("clean", "mean"), perturbed=("perturbed", "mean")).reset_index()
    # Counted over all runs: a spoke is there for everybody or for nobody.
    counted = rows.groupby("modality").agg(images=("image", "nunique"), datasets=("dataset", "nunique"))
    means = means.join(counted, on="modality")
    return means[means["images"] >= _FEWEST_IMAGES].reset_index(drop=True)


def _images(sources: Mapping[str, Sequence[Path]], dataset: str) -> pd.DataFrame:
    """The `image` and the `modality` of each `sample_id`; images of data sets are different ones."""
    images = read_tables(_of(sources["images"], dataset), ImageRow, ["image_id", "modality"]).to_pandas()
    samples = read_tables(_of(sources["samples"], dataset), SampleRow, ["sample_id", "image_id"]).to_pandas()
    own = samples.merge(images, on="image_id", validate="many_to_one")
    named = own.assign(image=[f"{dataset}/{name}" for name in own["image_id"]])
    return pd.DataFrame(named[["sample_id", "image", "modality"]])


def _of(paths: Sequence[Path], dataset: str) -> list[Path]:
    return [path for path in paths if path.parent.name == dataset]


def _panel(axes: Axes, block: Block, means: pd.DataFrame, side: str) -> None:
    spec, spokes = block.spec, sorted(set(means["modality"]))
    looks = looks_of(list(spec.runs), spec.baselines)
    angles = 2 * np.pi * np.arange(len(spokes)) / len(spokes)
    for run in (run for run in spec.runs if run in _lines(means)):
        own = means[means["run"] == run].set_index("modality")[side].reindex(spokes).to_numpy(dtype=np.float64)
        axes.plot(
            [*angles, angles[0]],
            [*own, own[0]],
            color=looks[run].colour,
            linestyle=looks[run].line,
            marker=looks[run].marker,
            markersize=3,
            linewidth=1.0,
            label=run,
        )
    counted = means.groupby("modality")[["images", "datasets"]].first()
    labels = []
    for name in spokes:
        sets = f",\n{counted.loc[name, 'datasets']} sets" if counted.loc[name, "datasets"] > 1 else ""
        labels.append(f"{_NAMES.get(name, name)}\n{plural(counted.loc[name, 'images'], 'image')}{sets}")
    axes.set_xticks(angles, labels, fontsize=SMALLEST)
    axes.tick_params(axis="x", pad=-1)
    for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
        label.set_horizontalalignment(
            "center" if abs(np.sin(angle)) > 0.9 else "left" if np.cos(angle) > 0 else "right"
        )
    shown = means.loc[means["run"].isin(_lines(means)), list(_SIDES)]
    # Kappa may be below zero.
    low, high = min(0.0, float(shown.min().min())), float(shown.max().max()) * 1.05 or 1.0
    axes.set_ylim(low, high)
    axes.set_yticks([tick for tick in MaxNLocator(3).tick_values(low, high) if low < tick <= high])
    cast("PolarAxes", axes).set_rlabel_position(180 / len(spokes))
    axes.tick_params(axis="y", labelsize=SMALLEST)
    axes.grid(color="#d8d8d8", linewidth=0.5)
    axes.spines[:].set_linewidth(0.4)
    metric = block.metric_on(spec.datasets)
    axes.set_title(f"{score_label(metric)}, {_SIDES[side]}", fontsize=7, fontweight="bold")
