"""Rule page: results/{study}/index.html and the folder that it loads from."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("page", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code):
    from medstress.page.spec import PageSpec
    from medstress.page.write import write_page

    write_page(
        PageSpec.model_validate_json(snakemake.params.spec),
        {kind: [Path(path) for path in paths] for kind, paths in snakemake.input.items()},
        Path(snakemake.output.index),
        Path(snakemake.output.folder),
    )
