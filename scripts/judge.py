"""Rule judge: one judge on the answers of one run to the questions of one data set."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage(
    "judge",
    log_file=snakemake.log[0],
    record=snakemake.output[0],
    code=snakemake.params.code,
    environment=snakemake.params.environment,
) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.answers.identity import identity_of
    from medstress.answers.journal import Journal
    from medstress.answers.judging import judge_answers
    from medstress.journal import files_key
    from medstress.models.generative.load import load_generator
    from medstress.models.registry import weight_files
    from medstress.specs import JudgeSpec

    spec = JudgeSpec.model_validate_json(snakemake.params.spec)
    client = load_generator(spec.model, os.environ)
    model = identity_of(spec.model, files_key(weight_files(spec.model)), snakemake.params.code)
    with Journal(Path(snakemake.params.journal) / spec.judge.name / spec.run / spec.dataset) as journal:
        judging = judge_answers(
            client,
            spec,
            Path(snakemake.input.samples),
            Path(snakemake.input.predictions),
            Path(snakemake.output[0]),
            journal=journal,
            model=model,
        )
    facts["judging"] = judging.facts()
    for line in judging.lines():
        log.info(line)
