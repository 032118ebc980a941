"""Rule answer: one model that answers in words on one data set, clean and under every perturbation."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from medstress.devices import claim_gpus
from medstress.stage import log, stage

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with stage(
    "answer",
    log_file=snakemake.log[0],
    record=snakemake.output[0],
    code=snakemake.params.code,
    environment=snakemake.params.environment,
) as facts:
    # Before anything imports torch.
    facts["gpu"] = claim_gpus(snakemake.resources.gpu).facts()

    from medstress.answers.dataset import answer_dataset, check_may_be_sent
    from medstress.answers.identity import identity_of
    from medstress.answers.journal import Journal
    from medstress.answers.majority import answer_by_majority
    from medstress.answers.questions import Records
    from medstress.cards.generator import MajorityAnswer
    from medstress.journal import files_key
    from medstress.models.generative.load import load_generator
    from medstress.models.registry import weight_files
    from medstress.specs import AnswerSpec

    spec, output = AnswerSpec.model_validate_json(snakemake.params.spec), Path(snakemake.output[0])
    seen, tensors = ([Path(path) for path in snakemake.input.get(name, [])] for name in ("perturbed", "tensors"))
    records = Records(Path(snakemake.input.images), Path(snakemake.input.samples), seen)
    if isinstance(spec.model, MajorityAnswer):
        log.info("answers: %d", answer_by_majority(spec, spec.model, records, output))
    else:
        check_may_be_sent(spec)
        if spec.strategy:
            from medstress.adapt.finetune_generator import load_adapted

            client = load_adapted(spec.model, spec.strategy, spec.seed, tensors[0])
        else:
            client = load_generator(spec.model, os.environ)
        weights = files_key([*weight_files(spec.model), *tensors])
        model = identity_of(spec.model, weights, snakemake.params.code)
        with Journal(Path(snakemake.params.journal) / spec.run / spec.dataset) as journal:
            tally = answer_dataset(client, spec, records, output, journal=journal, model=model)
        facts["answers"] = tally.facts()
        for line in tally.lines():
            log.info(line)
