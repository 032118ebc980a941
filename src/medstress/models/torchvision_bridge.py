"""torchvision beside a PyTorch for CPUs, and what to say where an extra is not installed.

There is no CPU build of torchvision for this PyTorch. The ordinary one installs, but its import stops because its
compiled operators do not load, and then transformers, peft, segment_anything, timm and open_clip stop as well. Nothing
here calls these operators, so their schemas are enough.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from medstress.errors import MedstressError

if TYPE_CHECKING:
    from torch.library import Library

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_MODULES = {"open-clip-torch": "open_clip", "segment-anything": "segment_anything"}
# A library takes its schemas with it when it is collected.
_declared: "list[Library]" = []


def make_torchvision_importable() -> None:
    """Import torchvision where it is installed, declaring the operators that it misses; nothing where it is native.

    To be called before any package is imported that looks for torchvision. The operators still cannot be called, nor
    can torchvision.io. Raises what the import raises, other than a missing operator.
    """
    if "torchvision" in sys.modules or find_spec("torchvision") is None:
        return
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        from torch.library import Library

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
        import_module("torchvision")


def require_extra(extra: Literal["clip", "sam"], adapter: str, package: str) -> None:
    """Make `package` of an extra, as installers spell it, importable; MedstressError where it is missing."""
    for needed in ("torchvision", package):
        if find_spec(_MODULES.get(needed, needed)) is None:
            raise MedstressError(f"adapter {adapter} needs {package}: pip install 'medstress[{extra}]'")
    make_torchvision_importable()
