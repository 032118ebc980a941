"""What three publications print or draw, to be seen beside a rerun: published.csv beside this module.

* `medfm_robust`: Cui et al., "MedFM-Robust: Benchmarking Robustness of Medical Foundation Models", MICCAI 2026.
* `robustmedclip`: Imam et al., arXiv 2505.15425.
* `sure_vqa`: Kahl et al., arXiv 2411.19688.

Models, strategies, data sets and types have the names of this project's cards, or say what they are a mean of;
`level` is 1 to 5. Drops are clean less perturbed. `precision` says how a number was come by: `printed` in the source;
`measured` from the pixels of a figure, with an error of about .0003 on its axis; `about`, read off with less care or
from a crowded place; `less than` and `more than` are the publication's words.

Of MedFM-Robust a mean of models is of MedSAM and SAM-Med2D, and of `adapter_only` of SAM-Med2D alone. Of RobustMedCLIP
the backbones, the rank, the share of images and the data sets behind the table are not published, nor whether errors
are of accuracy. The answers that SURE-VQA's numbers rest on are not published either.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SHA256 = "fefbe8d458d371085d584bbd1d510f89280539a8ad0f5ebaefbb7eb547ae9bc1"
"""Of the file: a number that changes has to change the code, from which Snakemake knows which tables to make again."""
_SCALES = {"percent": 0.01}
"""What a number of a unit is multiplied with, to be in the unit of our scores; no other module converts."""


@dataclass(frozen=True)
class PublishedNumber:
    """One number of a publication; an empty text where it is of nothing of the kind.

    value: in shares of 1 where the source has shares or per cent; in `unit` otherwise.
    """

    publication: str
    quantity: str
    metric: str
    model: str
    strategy: str
    dataset: str
    perturbation: str
    level: int | None
    value: float
    unit: str
    precision: str
    source: str


@cache
def published_numbers() -> tuple[PublishedNumber, ...]:
    """Every number, in the file's order."""
    text = (files("medstress.score") / "published.csv").read_text(encoding="utf-8")
    return tuple(_number(row) for row in csv.DictReader(text.splitlines()))


def _number(row: dict[str, str]) -> PublishedNumber:
    unit = row["unit"]
    return PublishedNumber(
        publication=row["study"],
        quantity=row["quantity"],
        metric=row["metric"],
        model=row["model"],
        strategy=row["strategy"],
        dataset=row["dataset"],
        perturbation=row["perturbation"],
        level=int(row["level"]) if row["level"] else None,
        value=float(row["value"]) * _SCALES.get(unit, 1.0),
        unit="share" if unit in _SCALES else unit,
        precision=row["precision"],
        source=row["source"],
    )
