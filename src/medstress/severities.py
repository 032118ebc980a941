"""How levels become strengths on a data set of a study, and which types its images take."""

from medstress.cards.dataset import DatasetCard
from medstress.config import Perturbations
from medstress.perturb.protocol import Perturbation
from medstress.perturb.scales.protocol import Published
from medstress.perturb.scales.registry import SCALES
from medstress.specs import SeveritySpec


def fits(kind: Perturbation | Published, card: DatasetCard) -> bool:
    """Whether images of a data set can be perturbed so: of several modalities, what fits all or one that is named."""
    if card.modality != "mixed":
        return kind.fits(card.modality)
    return not kind.modalities or any(map(kind.fits, getattr(card, "modalities", ())))


def severity_of(asked: Perturbations, dataset: str) -> SeveritySpec:
    """How levels become strengths on one data set of a study.

    A scale that differs by data set knows some by name; for the others the study's `variants` say what they count as.
    """
    known = asked.scale != "ssim" and dataset in SCALES[asked.scale].variants
    return SeveritySpec(
        scale=asked.scale,
        compat=asked.compat,
        variant=asked.variants.get(dataset, dataset if known else ""),
        bands=asked.bands,
        multipliers=asked.multipliers,
    )
