"""Rule table: one table in four formats."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("table", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code):
    from medstress.table_spec import TableSpec
    from medstress.tables.write import write_table

    write_table(
        TableSpec.model_validate_json(snakemake.params.spec),
        snakemake.wildcards.table,
        {kind: [Path(path) for path in paths] for kind, paths in snakemake.input.items()},
        {kind: Path(path) for kind, path in snakemake.output.items()},
    )
