"""Rule prepare_dataset: a card and its raw files become the images and samples records."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medstress.stage import stage

if TYPE_CHECKING:
    snakemake: Any

with stage("prepare_dataset", log_file=snakemake.log[0], record=snakemake.output.images, code=snakemake.params.code):
    from medstress.datasets.prepare import prepare_dataset
    from medstress.specs import PrepareSpec

    spec = PrepareSpec.model_validate_json(snakemake.params.spec)
    prepare_dataset(spec, Path(), Path(snakemake.output.images), Path(snakemake.output.samples))
