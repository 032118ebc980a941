# What a job reads, and which of the machine it asks for, by its wildcards.
def fetched_files(wildcards):
    folder = fetched_datasets(PROJECT).get(wildcards.dataset)
    return [f"{folder}/{STAMP}"] if folder else []


def own_sheet(wildcards):
    # A corrected sheet makes the data set anew. One that is not there is for the job to name.
    sheet = getattr(PROJECT.datasets[wildcards.dataset].source, "sheet", None)
    fetched = wildcards.dataset in fetched_datasets(PROJECT)
    return [sheet] if sheet and not fetched and Path(sheet).is_file() else []


def true_labels(wildcards):
    # What is read from disk is compared with the labels of the clean images.
    samples = f"<results>/datasets/{wildcards.dataset}/samples.parquet"
    return [samples] if PROJECT.reads_corrupted(wildcards.dataset) else []


def train_images(wildcards):
    trained_on = PROJECT.trained_on(wildcards.run)
    return [f"<results>/datasets/{dataset}/images.parquet" for dataset in trained_on]


def train_samples(wildcards):
    trained_on = PROJECT.trained_on(wildcards.run)
    return [f"<results>/datasets/{dataset}/samples.parquet" for dataset in trained_on]


def run_of(wildcards):
    # An encoder has the runs of several prompt sets; what it is made of is the same in all of them.
    encoder = getattr(wildcards, "encoder", None)
    return PROJECT.encoders[encoder] if encoder else PROJECT.runs[wildcards.run]


def model_of(wildcards):
    # Of a rule about one model, whatever runs it has, or about one run or encoder; of a judge the model that it is.
    judge = getattr(wildcards, "judge", None)
    if judge:
        return JUDGES[judge].model
    return getattr(wildcards, "model", None) or run_of(wildcards).model


def model_files(wildcards):
    # The stamp stands for weights that are fetched: before they are there, nobody knows which files they will be.
    model = model_of(wildcards)
    folder = fetched_weights(PROJECT).get(model)
    files = [str(path) for path in weight_files(PROJECT.models[model])]
    return [f"{folder}/{STAMP}"] if folder else files


def trained_tensors(wildcards):
    run = run_of(wildcards)
    tensors = f"<results>/checkpoints/{run.name}/trained.safetensors"
    return [tensors] if run.strategy else []


def embeddings(wildcards):
    encoder = PROJECT.runs[wildcards.run].encoder
    record = f"<results>/embeddings/{encoder}/{wildcards.dataset}.parquet"
    return [record] if encoder in PROJECT.encoders else []


def text_embeddings(wildcards):
    model = PROJECT.runs[wildcards.run].model
    asked = model in PROJECT.image_text_models
    return [f"<results>/texts/{model}.parquet"] if asked else []


def seen_records(wildcards):
    # What a run is shown besides the clean images: perturbed ones, and adversarial ones made against other runs.
    dataset = wildcards.dataset
    perturbed = [
        f"<results>/perturbed/{dataset}/{perturbation}.parquet"
        for perturbation in PROJECT.perturbations_on(dataset)
    ]
    transferred = [
        f"<results>/attacked/{run}/{dataset}.images.parquet"
        for run in PROJECT.transfer_inputs(run_of(wildcards).name, dataset)
    ]
    return perturbed + transferred


def attacked_answers(wildcards):
    run, dataset = wildcards.run, wildcards.dataset
    answers = f"<results>/attacked/{run}/{dataset}.parquet"
    made = PROJECT.attacked(run) and dataset in PROJECT.attacked_datasets
    return [answers] if made else []


def judged_answers(wildcards):
    # What the first judge says is scored; a table compares all.
    run, dataset = wildcards.run, wildcards.dataset
    asked = (run, dataset) in judge_slice.judged(PROJECT)
    return [
        f"<results>/judged/{judge}/{run}/{dataset}.parquet"
        for judge in list(JUDGES)[:1]
        if asked
    ]


def encoder_files(wildcards):
    return [str(path) for path in files_of_folder(Path(STUDY.caption_encoder))]


def embedded_captions(wildcards):
    run, dataset = wildcards.run, wildcards.dataset
    captions = PROJECT.datasets[dataset].task == "captioning"
    record = f"<results>/captions/{run}/{dataset}.parquet"
    return [record] if captions and STUDY.caption_encoder else []


def own_environment(wildcards):
    # The file that a model's card names, if any: the job refuses to run anywhere else.
    return getattr(PROJECT.models[model_of(wildcards)], "environment", None) or ""


def model_environment(wildcards):
    own = own_environment(wildcards)
    return str(Path(own).absolute()) if own else "../../envs/environment.yaml"


def run_gpus(wildcards):
    # A machine without a GPU has none to share out: there, jobs must not wait for each other.
    here = workflow.local_exec and not workflow.remote_exec
    return 0 if here and not count_gpus() else PROJECT.models[model_of(wildcards)].gpu


def run_threads(wildcards):
    return getattr(PROJECT.models[model_of(wildcards)], "threads", 1)


def table_inputs(wildcards):
    return {kind: RECORDS[kind] for kind in TABLES[wildcards.table].reads}


def figure_inputs(wildcards):
    return {kind: RECORDS[kind] for kind in FIGURES[wildcards.figure].reads}


def page_inputs(wildcards):
    shown = ("scores", "images", "samples", "perturbed", "predictions", "training")
    tables = expand("<results>/tables/{table}.parquet", table=STUDY.tables)
    figures = expand("<results>/figures/{figure}.svg", figure=STUDY.figures)
    attacked = [
        f"<results>/attacked/{run}/{dataset}"
        for run, dataset in SCORED
        if PROJECT.attacked(run) and dataset in PROJECT.attacked_datasets
    ]
    return {
        "tables": tables,
        "figures": figures,
        "attacked": [f"{record}.parquet" for record in attacked],
        "adversarial": [
            f"{record}.images.parquet" for record in attacked if PROJECT.keeps_images
        ],
        **{kind: RECORDS[kind] for kind in shown},
    }
