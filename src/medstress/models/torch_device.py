"""Where a torch model runs. Imports torch only when asked."""

from typing import TYPE_CHECKING, Literal

from medstress.errors import MedstressError

if TYPE_CHECKING:
    import torch


def torch_device(wanted: Literal["auto", "cpu", "cuda"], *, card: str) -> "torch.device":
    """The device of a model card. Raises MedstressError where the card wants a GPU and there is none."""
    import torch

    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if wanted == "cuda":
        raise MedstressError(
            f"model card {card}: device is cuda, but PyTorch {torch.__version__} sees no GPU here. Run on a machine "
            "with one and a CUDA build of PyTorch, or write `device: auto` to do without."
        )
    return torch.device("cpu")
