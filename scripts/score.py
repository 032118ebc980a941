"""Rule score: the answers of one run on one data set against the truth."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage("score", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code):
    from medstress.specs import ScoreSpec

    spec = ScoreSpec.model_validate_json(snakemake.params.spec)
    # What only some tasks know of.
    extra = {name: list(map(Path, snakemake.input.get(name, []))) for name in ("judged", "embedded")}
    import_module(f"medstress.score.{spec.task}").score_predictions(
        spec,
        Path(snakemake.input.images),
        Path(snakemake.input.samples),
        [Path(path) for path in snakemake.input.perturbed],
        Path(snakemake.input.predictions),
        Path(snakemake.output[0]),
        attacked=[Path(path) for path in snakemake.input.get("attacked", [])],
        **{name: paths for name, paths in extra.items() if paths},
    )
