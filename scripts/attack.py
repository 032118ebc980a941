"""Rule attack: white-box attacks on one run and one data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("attack", log_file=snakemake.log[0], record=snakemake.output.answers) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.attack.attack import attack_dataset
    from medstress.journal import Journal, files_key
    from medstress.models.registry import load_segmenter, weight_files
    from medstress.specs import AttackSpec

    spec = AttackSpec.model_validate_json(snakemake.params.spec)
    journal = Journal(Path(snakemake.params.journal) / spec.run / spec.dataset)
    tensors = [Path(path) for path in snakemake.input.get("tensors", [])]
    if spec.strategy:
        from medstress.adapt.finetune import load_adapted

        segmenter = load_adapted(spec.model, spec.strategy, spec.seed, tensors[0])
    else:
        segmenter = load_segmenter(spec.model)
    kept = snakemake.output.get("images")
    pace = attack_dataset(
        segmenter,
        spec,
        Path(snakemake.input.images),
        Path(snakemake.input.samples),
        Path(snakemake.output.answers),
        journal=journal,
        code=snakemake.params.code,
        weights=files_key([*weight_files(spec.model), *tensors]),
        kept=Path(kept) if kept else None,
    )
    facts["images_per_second"] = pace.images_per_second
    facts["units"] = {"reused": journal.reused, "computed": journal.computed}
    log.info("units: %d reused from the journal, %d computed", journal.reused, journal.computed)
    for message in journal.damaged:
        log.warning("journal: %s", message)
