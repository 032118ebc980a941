"""Rule classify: one classifier with one prompt set on one data set, from embeddings to answers."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("classify", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code):
    from medstress.models.classify import Records, classify_dataset
    from medstress.specs import ClassifySpec

    given = {
        name: [Path(path) for path in snakemake.input.get(name, [])] for name in ("perturbed", "embeddings", "texts")
    }
    answers = classify_dataset(
        ClassifySpec.model_validate_json(snakemake.params.spec),
        Records(Path(snakemake.input.images), Path(snakemake.input.samples), **given),
        Path(snakemake.output[0]),
    )
    log.info("answers: %d", answers)
