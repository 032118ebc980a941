"""medstress: severity-calibrated stress tests for medical foundation models."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medstress.perturb.corrupt import Corrupt, corrupt, list_perturbations

__version__ = "0.1.0"
__all__ = ["Corrupt", "corrupt", "list_perturbations"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: most stages need neither all types nor OpenCV.
    if name in __all__:
        from medstress.perturb import corrupt as module

        return getattr(module, name)
    raise AttributeError(f"module 'medstress' has no attribute {name!r}")
