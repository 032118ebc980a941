"""Whether images really have the severity that their level names."""

from typing import Any

import pandas as pd

from medstress.score.titles import dataset_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING, number, typed
from medstress.tables.missing import missing_perturbed

TITLE = "Calibration: SSIM and reach of every perturbation"
CAPTION = (
    "Reach is the share of images that the perturbation can bring into the SSIM band of a level; the others are stored "
    "as close as it comes, marked unreachable, and left out of every mean. In band is the share of reachable cells "
    "whose stored SSIM is inside the band: a check, which must be 100 %. SSIM is the mean and strength the median over "
    "all images of a level, in the perturbation's own unit. Types that move pixels take their strength from a table."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and perturbation, without numbers where there are no images.

    `frame` is perturbed records with a `dataset` column.
    """
    parts = dict(iter(frame.groupby(["dataset", "perturbation"], observed=True)))
    return typed(
        [
            _row(spec, parts.get((dataset, perturbation), frame[:0]), dataset, perturbation)
            for dataset in spec.datasets
            for perturbation in spec.perturbations_on(dataset)
        ]
    )


def _row(spec: TableSpec, cells: pd.DataFrame, dataset: str, perturbation: str) -> dict[str, Any]:
    by_table = cells["status"] == "table"
    reachable = cells[~by_table & (cells["status"] != "unreachable")]
    inside = reachable["ssim"].between(reachable["band_low"], reachable["band_high"])
    banded = cells[~by_table]
    row: dict[str, Any] = {
        "dataset": dataset,
        "perturbation": perturbation,
        "scale": "table" if perturbation in spec.fixed or (len(cells) and by_table.all()) else "ssim",
        "n_images": cells["image_id"].nunique(),
        "n_unreachable": int((cells["status"] == "unreachable").sum()),
        "reach": _share(banded["status"] == "in_band"),
        "in_band_share": _share(inside),
    }
    levels = {level: cells[cells["level"] == level] for level in spec.levels}
    for level, part in levels.items():
        own = part[part["status"] != "table"]
        row[f"reach_{level}"] = _share(own["status"] == "in_band")
    row |= {f"ssim_{level}": part["ssim"].mean() for level, part in levels.items()}
    return row | {f"strength_{level}": part["strength"].median() for level, part in levels.items()}


def _share(hits: "pd.Series[bool]") -> float | None:
    return float(hits.mean()) if len(hits) else None


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    rows, titles = [], dataset_titles(spec)
    for row in table.to_dict("records"):
        none = "table" if row["scale"] == "table" else NOTHING
        shown = {
            "Data set": titles[row["dataset"]],
            "Perturbation": row["perturbation"].replace("_", " "),
            "Images": str(row["n_images"]),
            "Reach": _percent(row["reach"], none),
        }
        shown |= {f"Reach {level}": _percent(row[f"reach_{level}"], none) for level in spec.levels}
        shown["In band"] = _percent(row["in_band_share"], none)
        shown |= {f"SSIM {level}": number(row[f"ssim_{level}"], 3) for level in spec.levels}
        for level in spec.levels:
            strength = row[f"strength_{level}"]
            shown[f"Strength {level}"] = NOTHING if pd.isna(strength) else f"{strength:.3g}"
        rows.append(shown)
    return pd.DataFrame(rows)


def _percent(share: float | None, none: str) -> str:
    return none if pd.isna(share) else f"{share:.0%}"


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_perturbed(spec, frame)
