"""Rule embed: one image encoder on one data set, clean and under every perturbation."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage(
    "embed",
    log_file=snakemake.log[0],
    record=snakemake.output[0],
    code=snakemake.params.code,
    environment=snakemake.params.environment,
) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    import torch

    from medstress.journal import Journal, files_key
    from medstress.models.embed import embed_dataset
    from medstress.models.registry import weight_files
    from medstress.models.zeroshot.load import load_classifier
    from medstress.specs import EmbedSpec

    spec = EmbedSpec.model_validate_json(snakemake.params.spec)
    journal = Journal(Path(snakemake.params.journal) / spec.encoder / spec.dataset)
    tensors = [Path(path) for path in snakemake.input.get("tensors", [])]
    if spec.strategy:
        from medstress.adapt.finetune_classifier import load_adapted

        encoder = load_adapted(spec.model, spec.strategy, spec.seed, tensors[0])
    else:
        encoder = load_classifier(spec.model)
    # Units are embedded side by side, each by one thread: the card's `threads` are how many.
    torch.set_num_threads(1)
    pace = embed_dataset(
        encoder,
        spec,
        Path(snakemake.input.images),
        [Path(path) for path in snakemake.input.perturbed],
        Path(snakemake.output[0]),
        journal=journal,
        code=snakemake.params.code,
        weights=files_key([*weight_files(spec.model), *tensors]),
    )
    facts["images_per_second"] = pace.images_per_second
    facts["units"] = {"reused": journal.reused, "computed": journal.computed}
    log.info("units: %d reused from the journal, %d computed", journal.reused, journal.computed)
    for message in journal.damaged:
        log.warning("journal: %s", message)
