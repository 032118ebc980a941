# A study: the index of the stages, one file each.
include: "common.smk"
include: "slices.smk"
include: "inputs.smk"
include: "code.smk"
include: "resources.smk"


pathvars:
    results=f"results/{STUDY.study}",


wildcard_constraints:
    dataset=one_of(STUDY.datasets),
    perturbation=one_of(STUDY.perturbations.types),
    run=one_of(PROJECT.runs),
    judge=one_of(JUDGES),
    table=one_of(TABLES),
    figure=one_of(FIGURES),


include: "fetch_dataset.smk"
include: "fetch_weights.smk"
include: "prepare_dataset.smk"
include: "perturb.smk"
include: "finetune.smk"
include: "predict.smk"
include: "embed_texts.smk"
include: "embed.smk"
include: "classify.smk"
include: "answer.smk"
include: "judge.smk"
include: "embed_captions.smk"
include: "attack.smk"
include: "score.smk"
include: "table.smk"
include: "figure.smk"
include: "page.smk"


# Seconds each, or in need of a network: not for a job of a cluster.
localrules:
    all,
    fetch,
    fetch_dataset,
    fetch_weights,
    classify,
    score,
    table,
    figure,


report: "../report/study.rst"


TARGETS = [
    expand("<results>/tables/{table}.csv", table=STUDY.tables),
    expand("<results>/figures/{figure}.svg", figure=STUDY.figures),
    "<results>/index.html",
]


# All downloads of the study and nothing else, for a machine with a network.
rule fetch:
    input:
        [f"{folder}/{STAMP}" for folder in FETCHED],
