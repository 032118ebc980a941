"""Rule finetune: one model adapted to one training set with one strategy and one seed."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("finetune", log_file=snakemake.log[0], record=snakemake.output.tensors) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.adapt import finetune, finetune_classifier
    from medstress.specs import FinetuneSpec

    spec = FinetuneSpec.model_validate_json(snakemake.params.spec)
    task = finetune_classifier if spec.model.task == "classification" else finetune
    steps = task.finetune(
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
