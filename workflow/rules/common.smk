# The validated study, and the slices of it that rules depend on: plain JSON strings, so that a changed key reruns
# the rules that use it and no other. `code` is the fingerprint of the modules that a stage runs.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medstress.configfile import load_project
from medstress.devices import count_gpus
from medstress.errors import MedstressError
from medstress.figures.registry import FIGURES
from medstress.fingerprint import fingerprint
from medstress.models.registry import SEGMENTERS, weight_files
from medstress.perturb.registry import PERTURBATIONS
from medstress.stage import check_writable
from medstress.tables.registry import TABLES

FOLDERS = [
    "datasets",
    "perturbed",
    "checkpoints",
    "predictions",
    "scores",
    "tables",
    "figures",
    "logs",
    "journal",
]


def load():
    source = Path(workflow.configfiles[-1])
    try:
        project = load_project(source, config)
        check_writable(Path("results") / project.study.study, *FOLDERS)
    except MedstressError as error:
        raise WorkflowError(str(error))
    return project


def one_of(names):
    return "|".join(re.escape(name) for name in names)


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


def finetune_spec(wildcards):
    return PROJECT.finetune_spec(wildcards.run).model_dump_json()


def train_images(wildcards):
    return f"<results>/datasets/{PROJECT.runs[wildcards.run].trainset}/images.parquet"


def train_samples(wildcards):
    return f"<results>/datasets/{PROJECT.runs[wildcards.run].trainset}/samples.parquet"


def model_files(wildcards):
    return [str(path) for path in weight_files(PROJECT.model_of(wildcards.run))]


def trained_tensors(wildcards):
    adapted = PROJECT.runs[wildcards.run].strategy
    return (
        [f"<results>/checkpoints/{wildcards.run}/trained.safetensors"]
        if adapted
        else []
    )


def score_spec(wildcards):
    return PROJECT.score_spec(wildcards.run, wildcards.dataset).model_dump_json()


def perturb_code(wildcards):
    scale = STUDY.perturbations.scale
    if scale == "ssim":
        source = PERTURBATIONS[wildcards.perturbation].realise.__module__
    else:
        source = f"medstress.perturb.scales.{scale}"
    return fingerprint("medstress.perturb.build", source)


def perturbed_records(wildcards):
    return [
        f"<results>/perturbed/{wildcards.dataset}/{perturbation}.parquet"
        for perturbation in PROJECT.perturbations_on(wildcards.dataset)
    ]


def predict_code(wildcards):
    adapter = SEGMENTERS[PROJECT.model_of(wildcards.run).adapter]
    adapting = (
        ["medstress.adapt.trainable"] if PROJECT.runs[wildcards.run].strategy else []
    )
    return fingerprint("medstress.models.predict", adapter, *adapting)


def run_gpus(wildcards):
    # A machine without a GPU has none to share out: there, jobs must not wait for each other.
    here = workflow.local_exec and not workflow.remote_exec
    return 0 if here and not count_gpus() else PROJECT.model_of(wildcards.run).gpu


def run_threads(wildcards):
    return getattr(PROJECT.model_of(wildcards.run), "threads", 1)


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
SCORED = [(run, dataset) for run in PROJECT.runs for dataset in PROJECT.scored_on(run)]
RECORDS = {
    "images": expand(
        "<results>/datasets/{dataset}/images.parquet", dataset=STUDY.datasets
    ),
    "samples": expand(
        "<results>/datasets/{dataset}/samples.parquet", dataset=STUDY.datasets
    ),
    "perturbed": [
        f"<results>/perturbed/{dataset}/{perturbation}.parquet"
        for dataset in STUDY.datasets
        for perturbation in PROJECT.perturbations_on(dataset)
    ],
    "predictions": [
        f"<results>/predictions/{run}/{dataset}.parquet" for run, dataset in SCORED
    ],
    "scores": [f"<results>/scores/{run}/{dataset}.parquet" for run, dataset in SCORED],
    "training": [
        f"<results>/checkpoints/{run.name}/training.json"
        for run in PROJECT.runs.values()
        if run.strategy
    ],
}
