"""What the tables in the layouts of MedFM-Robust share: its names, and which cells count.

Cui et al., "MedFM-Robust: benchmarking robustness of medical foundation models", MICCAI 2026. Its evaluation writes one
file of means for perturbations and one for attacks of each model, data set and strategy, and then joins them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from medstress.errors import MedstressError
from medstress.runs import named_parts
from medstress.score.robustness import SCORED, clean_scores, paired_drops, scores_under
from medstress.table_spec import TableSpec
from medstress.tables.layout import VALID_PIXELS

NAMES = {
    "salt_and_pepper": "salt_pepper_noise",
    "speckle": "speckle_noise",
    "jpeg": "compression_artifacts",
    "scaling": "scale",
    "vignette": "dermoscopy_artifacts",
    "hair": "hair_artifacts",
    "mri_motion": "motion_artifacts",
    "mri_bias_field": "bias_field",
    "mri_ghosting": "ghosting",
    "us_acoustic_shadow": "acoustic_shadowing",
    "us_reverberation": "reverberation_artifacts",
    "endo_specular": "specular_reflection",
    "endo_bubbles": "bubbles",
    "endo_blood": "blood",
    "endo_overexposure": "saturation",
    "oct_shadow": "shadow_artifacts",
    "oct_blink": "blink_artifacts",
    "oct_row_motion": "motion_artifacts_oct",
    "oct_defocus": "defocus_artifacts",
    "oct_speckle": "speckle_artifacts",
    "path_stain": "stain_variation",
    "path_bubbles": "bubble_artifacts",
    "ct_metal_streaks": "metal_artifacts",
    "ct_beam_hardening": "beam_hardening",
    "ct_photon_starvation": "photon_starvation",
}
"""What it calls our types; others have one name, or are unknown to it. Its brightness_contrast is two types here."""

DIFFERENCES = (
    "Types bear the published names; brightness and contrast, one type there, are two here. Only cells that reach "
    "their SSIM band and objects that are in the frame count, drops are paired per object, and of a strategy all seeds "
    f"count. Pretrained is the model without a strategy. {VALID_PIXELS}"
)
"""A caption's sentences on what these numbers are, in a layout that has no room for it."""

METRICS = {"iou": "IoU", "dice": "Dice"}


@dataclass(frozen=True)
class Evaluation:
    """What one published file is made from: clean scores, and the pairs of every type that count."""

    model: str
    dataset: str
    strategy: str
    kind: str
    clean: pd.DataFrame
    pairs: pd.DataFrame
    types: tuple[str, ...]
    """The published names, also of types that have no pairs."""

    @property
    def names(self) -> dict[str, str]:
        """The columns that say what the file is of."""
        return {"Model": self.model, "Dataset": self.dataset, "Strategy": self.strategy, "Eval_Type": self.kind}


def evaluations(spec: TableSpec, frame: pd.DataFrame) -> Iterator[Evaluation]:
    """Every run on every data set, under perturbations and, where it is attacked, under attacks.

    `pairs` have a column `type` with the published names. Raises MedstressError where IoU or Dice was not scored.
    """
    if lacking := [metric for metric in METRICS if metric not in spec.metrics]:
        raise MedstressError(
            f"the published layouts need iou and dice, and {' and '.join(lacking)} was not scored. "
            "Add it to scoring.metrics, or leave the tables published_summary and published_by_level out."
        )
    scores = frame[frame["metric"].isin(list(METRICS))]
    clean = clean_scores(scores)
    clean = clean[clean["status"].isin(SCORED)]
    for kind, names in (("perturbation", spec.perturbations), ("adversarial", list(spec.attacks))):
        pairs = paired_drops(scores_under(names, scores))
        pairs = pairs[pairs["scored"]].assign(type=lambda part: part["perturbation"].astype(str).replace(NAMES))
        for dataset in spec.datasets:
            for run in spec.runs_on(dataset):
                own = pairs[(pairs["dataset"] == dataset) & (pairs["run"] == run)]
                attacked = run in spec.attacked and dataset in spec.attacked_datasets
                made = spec.perturbations_on(dataset) if kind == "perturbation" else list(spec.attacks) * attacked
                parts = named_parts(run)
                if made or len(own):
                    yield Evaluation(
                        parts["model"] or run,
                        dataset,
                        parts["strategy"] or "pretrained",
                        kind,
                        clean[(clean["dataset"] == dataset) & (clean["run"] == run)],
                        own,
                        tuple(sorted({*own["type"].unique(), *(NAMES.get(name, name) for name in made)})),
                    )


def means_of(rows: pd.DataFrame, column: str) -> dict[str, float]:
    """The mean of a column by metric; NaN where there is nothing."""
    return {metric: float(rows.loc[rows["metric"] == metric, column].mean()) for metric in METRICS}
