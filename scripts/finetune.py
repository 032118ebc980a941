"""Rule finetune: one model adapted to one training set with one strategy and one seed."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage(
    "finetune",
    log_file=snakemake.log[0],
    record=snakemake.output.tensors,
    code=snakemake.params.code,
    environment=snakemake.params.environment,
) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.cards.model import tasks_of
    from medstress.specs import FinetuneSpec

    spec = FinetuneSpec.model_validate_json(snakemake.params.spec)
    # One of the three: Trainer alone takes seconds to import.
    modules = {
        "segmentation": "medstress.adapt.finetune",
        "classification": "medstress.adapt.finetune_classifier",
        "vqa": "medstress.adapt.finetune_generator",
    }
    module = next(module for task, module in modules.items() if task in tasks_of(spec.model))
    steps = import_module(module).finetune(
        spec,
        [Path(path) for path in snakemake.input.images],
        [Path(path) for path in snakemake.input.samples],
        Path(snakemake.output.tensors),
        Path(snakemake.output.training),
        journal=Path(snakemake.params.journal) / snakemake.wildcards.run,
        code=snakemake.params.code,
    )
    facts["steps"] = steps
    log.info("steps: %d found in the journal, %d done", steps["resumed_from"], steps["done"])
