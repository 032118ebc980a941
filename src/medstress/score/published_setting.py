"""What published numbers are of, and this study's own numbers where the same models and data were used.

The half of MedFM-Robust on segmentation alone can be repeated: its models and data sets are public. The weights that it
trained, its splits and its strengths are not, so these differ in each number that is put beside one of its own, and
every difference is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.runs import named_parts
from medstress.score.bootstrap import Estimate
from medstress.score.published import PublishedNumber
from medstress.score.robustness import clean_scores, counts, paired_drops
from medstress.score.statistics.extremes import estimate_of_one
from medstress.score.statistics.shared import shared_means
from medstress.table_spec import TableSpec

Floats = npt.NDArray[np.float64]
_ALL = ("gaussian_noise", "gaussian_blur")
_GLAUCOMA = (*_ALL, "motion_blur", "oct_shadow", "oct_blink", "oct_row_motion", "oct_defocus", "oct_speckle")
TYPES: Mapping[str, tuple[str, ...]] = {
    "isic2016": (*_ALL, "jpeg", "brightness", "contrast", "pixelate", "vignette", "light_reflection", "hair"),
    "kvasir": (
        *(*_ALL, "motion_blur", "brightness", "contrast"),
        *("endo_specular", "endo_bubbles", "endo_blood", "endo_overexposure"),
    ),
    "brain_tumour": (*_ALL, "motion_blur", "mri_motion", "mri_bias_field", "mri_ghosting"),
    "glaucoma_disc": _GLAUCOMA,
    "glaucoma_cup": _GLAUCOMA,
}
"""What MedFM-Robust's generator makes on each data set; its brightness and contrast are one type."""
LEVELS = (1, 3, 5)
"""The levels that it makes."""
STRATEGIES = ("full", "decoder_only", "decoder_prompt", "encoder_partial", "adapter_only", "lora")
_MODELS = ("medsam", "sam_med2d")
_CARDS = {
    "clip": ("clip_vit_b16", "clip_rn50"),
    "medclip": ("medclip_swin", "medclip_resnet"),
    "biomedclip": ("biomedclip",),
    "unimedclip": ("unimedclip_b16", "unimedclip_l14"),
    "rmedclip": ("rmedclip_vit", "rmedclip_resnet"),
}
"""The cards that a model of RobustMedCLIP's table may be."""
_QUANTITIES = {"clean": "clean", "mean drop": "drop", "mean perturbed": "perturbed"}
_NOT_REPEATED = {
    "robustmedclip": "its backbones and data sets are not published",
    "sure_vqa": "the answers and ratings that it is of are not published",
}


@dataclass(frozen=True)
class Own:
    """The study's number beside a published one, with what differs; or nothing, and `differs` says why."""

    estimate: Estimate
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    differs: str


def _nothing(why: str) -> Own:
    return Own(Estimate(None, None, None, 0, 0), (), (), why)


def models_of(number: PublishedNumber) -> tuple[str, ...]:
    """The cards of the models that a number is of, or may be of; none where it does not name them."""
    if number.publication == "robustmedclip":
        return _CARDS[number.model]
    whole = not number.model and number.publication == "medfm_robust"
    if number.model in _MODELS or not (whole or number.metric == "iou"):
        return (number.model,)
    return ("sam_med2d",) if number.strategy == "adapter_only" else _MODELS


def datasets_of(number: PublishedNumber) -> tuple[str, ...]:
    """The cards of the data sets that a number is of: of a mean of one type, those that the type was made on."""
    if number.dataset != "mean of data sets":
        return (number.dataset,) if number.dataset else ()
    return tuple(name for name, types in TYPES.items() if not number.perturbation or number.perturbation in types)


def belongs(spec: TableSpec, number: PublishedNumber) -> bool:
    """Whether a number is of a model or a data set of the study; what stands in for another is never meant."""
    models = {named_parts(run)["model"] or run for run in spec.runs if run not in spec.stand_ins}
    datasets = {name for name in spec.datasets if name not in spec.stand_ins}
    return bool(models & set(models_of(number)) or datasets & set(datasets_of(number)))


@dataclass(frozen=True)
class Cells:
    """Means by run, data set, type (empty: clean) and level, float [1 + resamples]; and groups by data set."""

    means: Mapping[tuple[str, str, str, int], Mapping[str, Floats]]
    groups: Mapping[str, int]


def cells_of(spec: TableSpec, frame: pd.DataFrame) -> Cells:
    """The means that published numbers of segmentation are made of."""
    means: dict[tuple[str, str, str, int], Mapping[str, Floats]] = {}
    groups: dict[str, int] = {}
    runs = [run for run in spec.runs if named_parts(run)["model"] in _MODELS and run not in spec.stand_ins]
    for dataset, types in TYPES.items():
        if dataset not in spec.datasets or dataset in spec.stand_ins:
            continue
        own = frame[(frame["dataset"] == dataset) & (frame["metric"] == "iou") & frame["run"].isin(runs)]
        names, resamples = own["group_id"].unique(), spec.statistics.resamples
        clean, pairs = clean_scores(own), paired_drops(own)
        pairs = pairs[pairs["scored"] & pairs["perturbation"].isin(types) & pairs["level"].isin(LEVELS)]
        answered = clean[counts(clean["status"], clean["value"])].rename(columns={"value": "clean"})
        by_run = shared_means(answered, ["clean"], ["run"], names, dataset, resamples)
        means |= {(run, dataset, "", 0): found for (run,), found in by_run.items()}
        by_cell = shared_means(
            pairs, ["drop", "perturbed"], ["run", "perturbation", "level"], names, dataset, resamples
        )
        means |= {(run, dataset, name, int(level)): found for (run, name, level), found in by_cell.items()}
        groups[dataset] = len(names)
    return Cells(means, groups)


def own_number(spec: TableSpec, cells: Cells, number: PublishedNumber) -> Own:
    """The study's number for a published one that belongs to it."""
    if why := _NOT_REPEATED.get(number.publication):
        return _nothing(why)
    if number.metric != "iou" or number.quantity not in _QUANTITIES:
        return _nothing("the images, answers or cells that it is of are not published")
    datasets, types = datasets_of(number), (number.perturbation,) if number.perturbation else None
    if lacking := [name for name in datasets if name not in cells.groups]:
        return _nothing(f"not in this study: {', '.join(lacking)}")
    pairs = _runs(number)
    if lacking := [run for run in pairs if run not in spec.runs or run in spec.stand_ins]:
        return _nothing(f"not in this study: {', '.join(lacking)}")
    levels = (number.level,) if number.level else LEVELS
    wanted = {
        name: [("", 0)] if number.quantity == "clean" else [(one, at) for one in types or TYPES[name] for at in levels]
        for name in datasets
    }
    found: list[Floats] = []
    without: dict[tuple[str, str], None] = {}
    for run in pairs:
        for name in datasets:
            there = [place for place in wanted[name] if (run, name, *place) in cells.means]
            without |= {(name, kind): None for kind, at in wanted[name] if (kind, at) not in there}
            if not there:
                lost = f" under {number.perturbation}" if number.perturbation else ""
                return _nothing(f"no scores of {run} on {name}{lost}")
            means = [cells.means[run, name, *place][_QUANTITIES[number.quantity]] for place in there]
            found.append(np.stack(means).mean(axis=0))
    fewest = min(cells.groups[name] for name in datasets)
    estimate = estimate_of_one(np.stack(found).mean(axis=0), fewest, spec.statistics)
    return Own(estimate, tuple(pairs), datasets, _differences(spec, number, wanted, without))


def _runs(number: PublishedNumber) -> list[str]:
    """The runs here that do what a number is of; the cards of the publication's strategies are called paper_."""
    strategies = STRATEGIES if number.strategy == "mean of strategies" else (number.strategy,)
    return [
        f"{model}+paper_{strategy}"
        for strategy in strategies
        for model in models_of(number)
        if (model, strategy) != ("medsam", "adapter_only")
    ]


def _differences(
    spec: TableSpec,
    number: PublishedNumber,
    wanted: Mapping[str, list[tuple[str, int]]],
    without: Mapping[tuple[str, str], None],
) -> str:
    said = ["tuned again", "other split"]
    kinds = sorted({kind for places in wanted.values() for kind, _ in places if kind})
    fixed = [kind for kind in kinds if kind in spec.fixed]
    if kinds:
        said.append("fixed strengths" if len(fixed) == len(kinds) else "strengths found for each image")
    if fixed and len(fixed) < len(kinds):
        said.append(f"fixed strengths of {', '.join(fixed)}")
    if number.strategy == "mean of strategies":
        said.append("mean of all six strategies")
    by_dataset: dict[str, list[str]] = {}
    for name, kind in without:
        by_dataset.setdefault(name, []).append(kind)
    said += [f"{name} not whole: {', '.join(kinds)}" for name, kinds in by_dataset.items()]
    return "; ".join(said)
