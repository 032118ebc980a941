# The validated study, and the records that all of it comes to.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medstress import answer_slice, classify_slice, fetch_slice, judge_slice
from medstress.configfile import load_project
from medstress.devices import count_gpus
from medstress.environment import environment_key
from medstress.errors import MedstressError
from medstress.figures.registry import FIGURES
from medstress.fetch.plan import MODELS, STAMP
from medstress.fetch_slice import fetched_datasets, fetched_weights
from medstress.fingerprint import fingerprint
from medstress.models.registry import ADAPTERS, files_of_folder, weight_files
from medstress.page.document import assets_fingerprint
from medstress.page_slice import page_spec as page_slice
from medstress.perturb.registry import PERTURBATIONS
from medstress.specs import EmbedCaptionsSpec
from medstress.stage import check_writable
from medstress.table_slice import table_spec as table_slice
from medstress.tables.registry import TABLES

FOLDERS = [
    "datasets",
    "perturbed",
    "checkpoints",
    "texts",
    "embeddings",
    "attacked",
    "predictions",
    "judged",
    "captions",
    "scores",
    "tables",
    "figures",
    "page",
    "logs",
    "journal",
]


def load():
    if not workflow.configfiles:
        raise WorkflowError(
            "no study: as a module, medstress reads the configfile of the outer workflow "
            "(configfile: 'config/config.yaml' above `module`)."
        )
    source = Path(workflow.configfiles[-1])
    try:
        project = load_project(source, config)
        check_writable(Path("results") / project.study.study, *FOLDERS)
    except MedstressError as error:
        raise WorkflowError(str(error))
    return project


def one_of(names):
    # An empty pattern would match everything.
    return "|".join(re.escape(name) for name in names) or "(?!)"


PROJECT = load()
STUDY = PROJECT.study
JUDGES = judge_slice.judges(PROJECT)
KEPT_IMAGES = (
    {"images": "<results>/attacked/{run}/{dataset}.images.parquet"}
    if PROJECT.keeps_images
    else {}
)
SEGMENTING = [run for run in PROJECT.runs if "segmentation" in PROJECT.tasks_of(run)]
CLASSIFYING = [run for run in PROJECT.runs if "classification" in PROJECT.tasks_of(run)]
ANSWERING = [run for run in PROJECT.runs if run not in SEGMENTING + CLASSIFYING]
SCORED = [(run, dataset) for run in PROJECT.runs for dataset in PROJECT.scored_on(run)]
FETCHED = sorted(
    {*fetched_datasets(PROJECT).values(), *fetched_weights(PROJECT).values()}
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
    "judged": [
        f"<results>/judged/{judge}/{run}/{dataset}.parquet"
        for judge in JUDGES
        for run, dataset in judge_slice.judged(PROJECT)
    ],
    "ratings": STUDY.ratings,
    "scores": [f"<results>/scores/{run}/{dataset}.parquet" for run, dataset in SCORED],
    "training": [
        f"<results>/checkpoints/{run.name}/training.json"
        for run in PROJECT.runs.values()
        if run.strategy
    ],
}
