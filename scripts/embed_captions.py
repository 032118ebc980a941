"""Rule embed_captions: every caption of one run on one data set, and the true ones."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("embed_captions", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code):
    from medstress.models.sentences import embed_captions
    from medstress.specs import EmbedCaptionsSpec

    spec = EmbedCaptionsSpec.model_validate_json(snakemake.params.spec)
    records = Path(snakemake.input.samples), Path(snakemake.input.predictions)
    log.info("captions: %d", embed_captions(spec, *records, Path(snakemake.output[0])))
