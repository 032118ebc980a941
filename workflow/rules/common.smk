# The validated study, and the slices of it that rules depend on: plain JSON strings, so that a changed key reruns
# the rules that use it and no other. `code` is the fingerprint of the modules that a stage runs.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medstress.configfile import load_project
from medstress.errors import MedstressError
from medstress.figures.registry import FIGURES
from medstress.fingerprint import fingerprint
from medstress.models.registry import SEGMENTERS
from medstress.perturb.registry import PERTURBATIONS
from medstress.stage import check_writable
from medstress.tables.registry import TABLES


def load():
    source = Path(workflow.configfiles[-1])
    try:
        project = load_project(source, config)
        check_writable(Path("results") / project.study.study)
    except MedstressError as error:
        raise WorkflowError(str(error))
    return project


def prepare_spec(wildcards):
    return PROJECT.prepare_spec(wildcards.dataset).model_dump_json()


def perturb_spec(wildcards):
    return PROJECT.perturb_spec(
        wildcards.dataset, wildcards.perturbation
    ).model_dump_json()


def predict_spec(wildcards):
    return PROJECT.predict_spec(wildcards.run, wildcards.dataset).model_dump_json()


def table_spec(wildcards):
    return PROJECT.table_spec().model_dump_json()


def score_spec(wildcards):
    return PROJECT.score_spec(wildcards.run, wildcards.dataset).model_dump_json()


def perturb_code(wildcards):
    realise = PERTURBATIONS[wildcards.perturbation].realise
    return fingerprint("medstress.perturb.build", realise.__module__)


def predict_code(wildcards):
    adapter = PROJECT.model_of(wildcards.run).adapter
    return fingerprint("medstress.models.predict", SEGMENTERS[adapter])


def predict_gpus(wildcards):
    return PROJECT.model_of(wildcards.run).gpu


def table_code(wildcards):
    return fingerprint("medstress.tables.write", TABLES[wildcards.table].module)


def figure_code(wildcards):
    return fingerprint("medstress.figures.write", FIGURES[wildcards.figure].module)


def table_inputs(wildcards):
    return {kind: RECORDS[kind] for kind in TABLES[wildcards.table].reads}


def figure_inputs(wildcards):
    return {kind: RECORDS[kind] for kind in FIGURES[wildcards.figure].reads}


PROJECT = load()
STUDY = PROJECT.study
RECORDS = {
    "images": expand(
        "<results>/datasets/{dataset}/images.parquet", dataset=STUDY.datasets
    ),
    "samples": expand(
        "<results>/datasets/{dataset}/samples.parquet", dataset=STUDY.datasets
    ),
    "perturbed": expand(
        "<results>/perturbed/{dataset}/{perturbation}.parquet",
        dataset=STUDY.datasets,
        perturbation=STUDY.perturbations.types,
    ),
    "predictions": expand(
        "<results>/predictions/{run}/{dataset}.parquet",
        run=STUDY.runs,
        dataset=STUDY.datasets,
    ),
    "scores": expand(
        "<results>/scores/{run}/{dataset}.parquet",
        run=STUDY.runs,
        dataset=STUDY.datasets,
    ),
}
