# medstress: one file a stage in workflow/rules, whose index is study.smk; rule = script = log name.
#
#   make demo                                                 the embedded study on this machine
#   snakemake --profile local --configfile config/mine.yaml   another study
#   snakemake --profile slurm all                             on a cluster: docs/slurm.md
#   snakemake -c2 results/demo/tables/segmentation_main.csv   one table, with what it needs
#   snakemake -c2 --config bundle=FILE                        tables of a bundle, from its records alone
from snakemake.utils import min_version

min_version("9.19")


if not workflow.configfiles:

    configfile: "config/config.yaml"


if "bundle" in config:

    include: "workflow/rules/bundle.smk"

else:

    include: "workflow/rules/study.smk"


# Here, since a default target of an included file does not count.
rule all:
    default_target: True
    input:
        TARGETS,
