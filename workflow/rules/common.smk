# The validated study, and the slices of it that rules depend on: plain JSON strings, so that a changed key reruns
# the rules that use it and no other. `code` is the fingerprint of the modules that a stage runs.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medstress.configfile import load_project
from medstress.devices import count_gpus
from medstress.errors import MedstressError
from medstress.figures.registry import FIGURES
from medstress.fetch.plan import MODELS, STAMP
from medstress.fingerprint import fingerprint
from medstress.models.registry import SEGMENTERS, weight_files
from medstress.perturb.registry import PERTURBATIONS
from medstress.stage import check_writable
from medstress.tables.registry import TABLES

FOLDERS = [
    "datasets",
    "perturbed",
    "checkpoints",
    "attacked",
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


def fetch_dataset_spec(wildcards):
    return PROJECT.fetch_dataset_spec(wildcards.dataset).model_dump_json()


def fetch_weights_spec(wildcards):
    folder = str(MODELS / wildcards.weights)
    return PROJECT.fetch_weights_spec(folder).model_dump_json()


def fetched_files(wildcards):
    folder = PROJECT.fetched_datasets.get(wildcards.dataset)
    return [f"{folder}/{STAMP}"] if folder else []


def perturb_spec(wildcards):
    return PROJECT.perturb_spec(
        wildcards.dataset, wildcards.perturbation
    ).model_dump_json()


def predict_spec(wildcards):
    return PROJECT.predict_spec(wildcards.run, wildcards.dataset).model_dump_json()


def attack_spec(wildcards):
    return PROJECT.attack_spec(wildcards.run, wildcards.dataset).model_dump_json()


def table_spec(wildcards):
    return PROJECT.table_spec().model_dump_json()


def finetune_spec(wildcards):
    return PROJECT.finetune_spec(wildcards.run).model_dump_json()


def train_images(wildcards):
    return f"<results>/datasets/{PROJECT.runs[wildcards.run].trainset}/images.parquet"


def train_samples(wildcards):
    return f"<results>/datasets/{PROJECT.runs[wildcards.run].trainset}/samples.parquet"


def model_files(wildcards):
    # The stamp stands for weights that are fetched: before they are there, nobody knows which files they will be.
    folder = PROJECT.fetched_weights.get(PROJECT.runs[wildcards.run].model)
    files = [str(path) for path in weight_files(PROJECT.model_of(wildcards.run))]
    return [f"{folder}/{STAMP}"] if folder else files


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


def seen_records(wildcards):
    # What a run is shown besides the clean images: perturbed ones, and adversarial ones made against other runs.
    dataset = wildcards.dataset
    perturbed = [
        f"<results>/perturbed/{dataset}/{perturbation}.parquet"
        for perturbation in PROJECT.perturbations_on(dataset)
    ]
    transferred = [
        f"<results>/attacked/{run}/{dataset}.images.parquet"
        for run in PROJECT.transfer_inputs(wildcards.run, dataset)
    ]
    return perturbed + transferred


def attacked_answers(wildcards):
    run, dataset = wildcards.run, wildcards.dataset
    answers = f"<results>/attacked/{run}/{dataset}.parquet"
    made = PROJECT.attacked(run) and dataset in PROJECT.attacked_datasets
    return [answers] if made else []


def code_of_run(run, stage):
    adapter = SEGMENTERS[PROJECT.model_of(run).adapter]
    adapting = ["medstress.adapt.trainable"] if PROJECT.runs[run].strategy else []
    return fingerprint(stage, adapter, *adapting)


def predict_code(wildcards):
    return code_of_run(wildcards.run, "medstress.models.predict")


def finetune_code(wildcards):
    return code_of_run(wildcards.run, "medstress.adapt.finetune")


def attack_code(wildcards):
    return code_of_run(wildcards.run, "medstress.attack.attack")


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
KEPT_IMAGES = (
    {"images": "<results>/attacked/{run}/{dataset}.images.parquet"}
    if PROJECT.keeps_images
    else {}
)
SCORED = [(run, dataset) for run in PROJECT.runs for dataset in PROJECT.scored_on(run)]
FETCHED = sorted(
    {*PROJECT.fetched_datasets.values(), *PROJECT.fetched_weights.values()}
)
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
