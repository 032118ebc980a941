"""Rule attack: white-box attacks on one run and one data set."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage(
    "attack",
    log_file=snakemake.log[0],
    record=snakemake.output.answers,
    code=snakemake.params.code,
    environment=snakemake.params.environment,
) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.journal import Journal, files_key
    from medstress.models.registry import weight_files
    from medstress.specs import AttackSpec

    spec = AttackSpec.model_validate_json(snakemake.params.spec)
    journal = Journal(Path(snakemake.params.journal) / spec.run / spec.dataset)
    tensors = [Path(path) for path in snakemake.input.get("tensors", [])]
    records = [Path(path) for path in (snakemake.input.images, snakemake.input.samples, snakemake.output.answers)]
    kept = snakemake.output.get("images")
    about = {
        "journal": journal,
        "code": snakemake.params.code,
        "weights": files_key([*weight_files(spec.model), *tensors]),
        "kept": Path(kept) if kept else None,
    }
    if spec.texts:
        from medstress.attack.classification import attack_classifier
        from medstress.models.zeroshot.load import head_of, load_classifier

        encoder = load_classifier(spec.model)
        # Texts and the head are never adapted: the model as it is has them.
        head = head_of(spec.model, encoder, spec.texts)
        if spec.strategy:
            from medstress.adapt.finetune_classifier import load_adapted

            encoder = load_adapted(spec.model, spec.strategy, spec.seed, tensors[0])
        pace = attack_classifier(encoder, head, spec, *records, **about)
    else:
        from medstress.attack.segmentation import attack_segmenter
        from medstress.models.registry import load_segmenter

        if spec.strategy:
            from medstress.adapt.finetune import load_adapted

            segmenter = load_adapted(spec.model, spec.strategy, spec.seed, tensors[0])
        else:
            segmenter = load_segmenter(spec.model)
        pace = attack_segmenter(segmenter, spec, *records, **about)
    facts["images_per_second"] = pace.images_per_second
    facts["units"] = {"reused": journal.reused, "computed": journal.computed}
    log.info("units: %d reused from the journal, %d computed", journal.reused, journal.computed)
    for message in journal.damaged:
        log.warning("journal: %s", message)
