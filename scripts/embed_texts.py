"""Rule embed_texts: every text that the study asks one image-text model."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage(
    "embed_texts",
    log_file=snakemake.log[0],
    record=snakemake.output[0],
    code=snakemake.params.code,
    environment=snakemake.params.environment,
) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.models.embed_texts import embed_texts
    from medstress.models.zeroshot.load import load_image_text
    from medstress.specs import EmbedTextsSpec

    spec = EmbedTextsSpec.model_validate_json(snakemake.params.spec)
    embed_texts(load_image_text(spec.model), spec, Path(snakemake.output[0]))
    log.info("texts: %d", len(spec.texts))
