"""Rule fetch_dataset: the raw files of a data set, from the network or a mirror, into downloads/."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medstress.stage import stage

if TYPE_CHECKING:
    snakemake: Any

with stage("fetch_dataset", log_file=snakemake.log[0], record=snakemake.output[0]) as facts:
    from medstress.fetch.fetch import fetch, write_stamp
    from medstress.specs import FetchSpec

    fetched = fetch(FetchSpec.model_validate_json(snakemake.params.spec), Path())
    write_stamp(Path(snakemake.output[0]), fetched)
    facts["source"] = fetched.source
