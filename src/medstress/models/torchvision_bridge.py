"""torchvision beside a PyTorch for CPUs, and what to say where an extra is not installed.

There is no CPU build of torchvision for this PyTorch. The ordinary one installs, but its import stops because its
compiled operators do not load, and then transformers, peft and segment_anything stop as well. Nothing here calls these
operators, so their schemas are enough.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from medstress.errors import MedstressError

if TYPE_CHECKING:
    from torch.library import Library

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A library takes its schemas with it when it is collected.
_declared: "list[Library]" = []


def make_torchvision_importable() -> None:
    """Import torchvision where it is installed, declaring the operators that it misses; nothing where it is native.

    To be called before transformers, peft or segment_anything are imported. The operators still cannot be called, nor
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


def require_sam_extra(adapter: str, package: str) -> None:
    """Make `package` of the extra `sam`, as installers spell it, importable; MedstressError where it is missing."""
    for needed in ("torchvision", package):
        if find_spec(needed.replace("-", "_")) is None:
            raise MedstressError(f"adapter {adapter} needs {package}: pip install 'medstress[sam]'")
    make_torchvision_importable()
