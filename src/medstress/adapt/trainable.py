"""Which weights a strategy trains, and how they are kept."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medstress.adapt import bottleneck, low_rank
from medstress.cards.strategy import (
    AdapterOnly,
    DecoderOnly,
    DecoderPrompt,
    EncoderPartial,
    Full,
    ImageLora,
    Lora,
    LoraPlusDecoder,
    LoraPlusEncoder,
    Strategy,
    Vlm,
)
from medstress.errors import MedstressError
from medstress.models.segmentation.protocol import Parts
from medstress.records import atomic_path

_TITLES = {
    "adapters": "adapters of its own",
    "encoder": "image encoder",
    "decoder": "mask decoder",
    "prompt_encoder": "prompt encoder",
    "qkv": "fused query, key and value projections in an image encoder",
    "encoder_outputs": "output projections of attention in an image encoder",
    "mlp_outputs": "MLPs in the blocks of an image encoder",
    "decoder_projections": "query, value and output projections in a mask decoder",
}


@dataclass(frozen=True)
class _Plan:
    """What a strategy does: which parts it trains, where it puts LoRA and bottlenecks, by the names of `Parts`."""

    trained: tuple[str, ...] = ()
    low_rank: tuple[str, ...] = ()
    bottlenecks: tuple[str, ...] = ()


_PLANS: dict[type, _Plan] = {
    Full: _Plan(),
    DecoderOnly: _Plan(trained=("decoder",)),
    DecoderPrompt: _Plan(trained=("decoder", "prompt_encoder")),
    EncoderPartial: _Plan(trained=("decoder", "prompt_encoder")),
    AdapterOnly: _Plan(bottlenecks=("encoder_outputs", "mlp_outputs")),
    Lora: _Plan(low_rank=("qkv",)),
    LoraPlusEncoder: _Plan(trained=("decoder", "prompt_encoder"), low_rank=("qkv", "encoder_outputs")),
    LoraPlusDecoder: _Plan(trained=("prompt_encoder",), low_rank=("decoder_projections",)),
}


def apply_strategy(model: nn.Module, parts: Parts, strategy: Strategy, seed: int, *, name: str) -> None:
    """Make a segmenter's `model` train what the strategy says and nothing else, in place.

    Layers that are added start as the identity, so the model answers as before; what of them is drawn depends on the
    seed. Raises MedstressError, with `name`, the model's, where the model lacks what the strategy trains, and where its
    method is for classifiers.
    """
    where = f"strategy {strategy.name} cannot adapt the model {name}"
    if isinstance(strategy, ImageLora | Vlm):
        others = "classifiers" if isinstance(strategy, ImageLora) else "vision-language models"
        raise MedstressError(
            f"{where}: its method, {strategy.method}, is for {others}. A segmenter takes lora or others."
        )
    has_adapters = isinstance(strategy, AdapterOnly) and parts.adapters is not None
    plan = _Plan() if has_adapters else _PLANS[type(strategy)]
    parameters = [key for key, _ in model.named_parameters()]
    linear = [key for key, module in model.named_modules() if isinstance(module, nn.Linear)]
    lacking = [part for part in plan.trained if not found(getattr(parts, part), parameters, whole=False)]
    lacking += [
        part for part in (*plan.low_rank, *plan.bottlenecks) if not found(getattr(parts, part), linear, whole=True)
    ]
    if lacking:
        lacking = ["adapters", *lacking] if plan.bottlenecks else lacking
        has = " and no ".join(_TITLES[part] for part in lacking)
        raise MedstressError(f"{where}: it has no {has}. Choose another strategy for it.")
    trained = [getattr(parts, part) for part in plan.trained]
    if isinstance(strategy, Full):
        trained = [""]
    elif isinstance(strategy, EncoderPartial):
        trained += _last_blocks(parts, parameters, strategy, where)
    elif isinstance(strategy, AdapterOnly):
        trained = [parts.adapters or bottleneck.PARAMETERS]
    if plan.bottlenecks:
        assert isinstance(strategy, AdapterOnly)
        layers = [key for part in plan.bottlenecks for key in found(getattr(parts, part), linear, whole=True)]
        bottleneck.insert_bottlenecks(model, layers, strategy.width, seed)
    if plan.low_rank:
        assert isinstance(strategy, Lora | LoraPlusEncoder | LoraPlusDecoder)
        trained += [low_rank.PARAMETERS]
        targets = "|".join(f"({getattr(parts, part)})" for part in plan.low_rank)
        low_rank.inject_lora(model, targets, strategy.rank, strategy.alpha, seed)
    train_only(model, "|".join(f"(?:{pattern})" for pattern in trained), where)


def train_only(model: nn.Module, pattern: str, where: str) -> None:
    """Let the parameters train whose names begin with a match of `pattern`, and freeze all others.

    Raises MedstressError, beginning with `where`, where that leaves nothing to train.
    """
    wanted = re.compile(pattern)
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(wanted.match(key) is not None)
    if not trained_tensors(model):
        raise MedstressError(f"{where}: nothing would be trained. Choose another strategy for it.")


def found(pattern: str | None, names: list[str], *, whole: bool) -> list[str]:
    """The names that a pattern matches, whole or at their beginning; none without a pattern."""
    if pattern is None:
        return []
    matches = re.compile(pattern).fullmatch if whole else re.compile(pattern).match
    return [name for name in names if matches(name)]


def _last_blocks(parts: Parts, parameters: list[str], strategy: EncoderPartial, where: str) -> list[str]:
    """Patterns of the parameters of the last blocks of the image encoder."""
    prefixes: dict[int, set[str]] = {}
    for key in parameters:
        if match := re.match(parts.blocks, key):
            prefixes.setdefault(int(match[1]), set()).add(match[0])
    if strategy.blocks > len(prefixes):
        raise MedstressError(
            f"{where}: its image encoder has {len(prefixes)} blocks, fewer than the {strategy.blocks} of `blocks`. "
            f"Set `blocks` in config/strategies/{strategy.name}.yaml to {len(prefixes)} or less."
        )
    return [re.escape(one) for number in sorted(prefixes)[-strategy.blocks :] for one in sorted(prefixes[number])]


def set_training_mode(model: nn.Module) -> None:
    """Training mode for what trains; eval mode for modules whose weights are all frozen.

    A frozen batch normalisation would otherwise go on counting, and a frozen encoder would answer otherwise than its
    cached embeddings.
    """
    model.train()
    for module in model.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.train(False)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The weights that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def kept_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What training changes, by name: the weights that train and the running statistics beside them."""
    kept, stored = trained_tensors(model), model.state_dict().keys()
    for name, module in model.named_modules():
        if any(weight.requires_grad for weight in module.parameters(recurse=False)):
            own = {f"{name}.{key}".lstrip("."): buffer for key, buffer in module.named_buffers(recurse=False)}
            # Others are constants, such as the numbers of positions.
            kept |= {key: buffer for key, buffer in own.items() if key in stored}
    return kept


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Trained parameters, and all of them, added ones included."""
    trained = sum(parameter.numel() for parameter in trained_tensors(model).values())
    return trained, sum(parameter.numel() for parameter in model.parameters())


def put_tensors(kept: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    """Copy values into what :func:`kept_tensors` gave, in place."""
    with torch.no_grad():
        for name, tensor in kept.items():
            tensor.copy_(values[name])


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, temporary)


def load_tensors(model: nn.Module, path: Path) -> None:
    """Put saved tensors into a model to which the same strategy was applied.

    Raises MedstressError where the file cannot be read, or a tensor is missing, unexpected or of another shape.
    """
    try:
        saved = load_file(path)
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such checkpoint. Run the rule that makes it: snakemake {path}") from None
    except SafetensorError as error:
        raise MedstressError(
            f"{path}: not a readable safetensors file ({error}). Delete it and run the same command again."
        ) from None
    wanted = kept_tensors(model)
    wrong = [f"missing {name}" for name in wanted if name not in saved]
    wrong += [f"unexpected {name}" for name in saved if name not in wanted]
    wrong += [
        f"{name} is {list(saved[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in saved and saved[name].shape != tensor.shape
    ]
    if wrong:
        raise MedstressError(
            f"{path} does not fit this model and strategy: {'; '.join(wrong[:5])}. "
            "Delete it and run the same command again."
        )
    put_tensors(wanted, saved)
