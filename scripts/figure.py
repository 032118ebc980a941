"""Rule figure: one figure as SVG and PNG."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("figure", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code):
    from medstress.figures.write import write_figure
    from medstress.table_spec import TableSpec

    write_figure(
        TableSpec.model_validate_json(snakemake.params.spec),
        snakemake.wildcards.figure,
        {kind: [Path(path) for path in paths] for kind, paths in snakemake.input.items()},
        {kind: Path(path) for kind, path in snakemake.output.items()},
    )
