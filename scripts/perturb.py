"""Rule perturb: every image of the studied split at every level of one perturbation."""

from pathlib import Path
from typing import TYPE_CHECKING

from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

# Worker processes import this file again; only the first one is the job.
if __name__ == "__main__":
    with stage("perturb", log_file=snakemake.log[0], record=snakemake.output[0], code=snakemake.params.code) as facts:
        from medstress.perturb.build import perturb_dataset
        from medstress.perturb.catalogue import type_of
        from medstress.specs import PerturbSpec

        spec = PerturbSpec.model_validate_json(snakemake.params.spec)
        images, output = Path(snakemake.input.images), Path(snakemake.output[0])
        if spec.corrupted is None:
            kind = type_of(spec.perturbation, spec.severity)
            counts = perturb_dataset(kind, spec, images, output, workers=snakemake.threads)
        else:
            from medstress.exports.corrupted import read_corrupted

            samples = images.with_name("samples.parquet")  # the other record of the same job
            counts = read_corrupted(spec, Path(), images, samples, output, workers=snakemake.threads)
        facts["cells"] = counts
        log.info("cells: %s", ", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
