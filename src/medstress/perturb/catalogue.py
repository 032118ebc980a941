"""Types by name, on any scale."""

from medstress.errors import MedstressError
from medstress.perturb.protocol import Perturbation
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.scales.protocol import Published
from medstress.perturb.scales.registry import SCALES
from medstress.problems import closest
from medstress.specs import SeveritySpec


def types_of(severity: SeveritySpec) -> dict[str, Perturbation | Published]:
    """The types of a scale, by name. Raises MedstressError for a variant that the scale does not have."""
    variants = {"": PERTURBATIONS} if severity.scale == "ssim" else SCALES[severity.scale].variants
    if severity.variant not in variants:
        if "" in variants:
            raise MedstressError(
                f"the scale {severity.scale} is the same for all data sets: leave out the variant {severity.variant!r}"
            )
        raise MedstressError(
            f"the scale {severity.scale} differs by data set: say which of {', '.join(variants)} the images count as"
            + (f", not {severity.variant!r}" if severity.variant else "")
        )
    return {**variants[severity.variant]}


def type_of(name: str, severity: SeveritySpec) -> Perturbation | Published:
    """One type of a scale. Raises MedstressError with the nearest name where there is none."""
    types = types_of(severity)
    if name not in types:
        hint = closest(name, list(types))
        where = "medstress" if severity.scale == "ssim" else " ".join(filter(None, (severity.scale, severity.variant)))
        raise MedstressError(
            f"{where} has no perturbation {name!r}"
            + (f"; did you mean {hint}?" if hint else f"; it has {', '.join(types)}")
        )
    return types[name]
