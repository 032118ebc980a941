# medstress: the index of the DAG. One file a stage in workflow/rules; rule = script = log name.
#
#   make demo                                                 the embedded study on this machine
#   snakemake --profile local --configfile config/mine.yaml   another study
#   snakemake -c2 results/demo/tables/segmentation_main.csv   one table, with what it needs
from snakemake.utils import min_version

min_version("9.19")


if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"


pathvars:
    results=f"results/{STUDY.study}",


wildcard_constraints:
    dataset="[a-z0-9_]+",
    perturbation="[a-z0-9_]+",
    run="[a-z0-9_+@~]+",
    table="[a-z0-9_]+",
    figure="[a-z0-9_]+",


include: "workflow/rules/prepare_dataset.smk"
include: "workflow/rules/perturb.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/table.smk"
include: "workflow/rules/figure.smk"


report: "workflow/report/study.rst"


rule all:
    default_target: True
    input:
        expand("<results>/tables/{table}.csv", table=STUDY.tables),
        expand("<results>/figures/{figure}.svg", figure=STUDY.figures),
