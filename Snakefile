# medstress: the index of the DAG. One file a stage in workflow/rules; rule = script = log name.
#
#   make demo                                                 the embedded study on this machine
#   snakemake --profile local --configfile config/mine.yaml   another study
#   snakemake --profile slurm all                             on a cluster: docs/slurm.md
#   snakemake -c2 results/demo/tables/segmentation_main.csv   one table, with what it needs
from snakemake.utils import min_version

min_version("9.19")


if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/slices.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/code.smk"
include: "workflow/rules/resources.smk"


pathvars:
    results=f"results/{STUDY.study}",


wildcard_constraints:
    dataset=one_of(STUDY.datasets),
    perturbation=one_of(STUDY.perturbations.types),
    run=one_of(PROJECT.runs),
    judge=one_of(JUDGES),
    table=one_of(TABLES),
    figure=one_of(FIGURES),


include: "workflow/rules/fetch_dataset.smk"
include: "workflow/rules/fetch_weights.smk"
include: "workflow/rules/prepare_dataset.smk"
include: "workflow/rules/perturb.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/embed_texts.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/answer.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/embed_captions.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/table.smk"
include: "workflow/rules/figure.smk"


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


report: "workflow/report/study.rst"


rule all:
    default_target: True
    input:
        expand("<results>/tables/{table}.csv", table=STUDY.tables),
        expand("<results>/figures/{figure}.svg", figure=STUDY.figures),


# All downloads of the study and nothing else, for a machine with a network.
rule fetch:
    input:
        [f"{folder}/{STAMP}" for folder in FETCHED],
