# `code` of a rule: the fingerprint of the modules that its stage runs.
def perturb_code(wildcards):
    if PROJECT.reads_corrupted(wildcards.dataset):
        return fingerprint("medstress.exports.corrupted")
    scale = STUDY.perturbations.scale
    if scale == "ssim":
        source = PERTURBATIONS[wildcards.perturbation].realise.__module__
    else:
        source = f"medstress.perturb.scales.{scale}"
    return fingerprint("medstress.perturb.build", source)


def code_of_run(run, stage):
    card = PROJECT.models[run.model]
    adapting = [ADAPTING[card.task]] if run.strategy else []
    return fingerprint(stage, ADAPTERS[card.adapter], *adapting)


# The modules behind a stage, by what the run is asked.
ADAPTING = {
    "segmentation": "medstress.adapt.trainable",
    "classification": "medstress.adapt.image_encoder",
}
FINETUNE = {
    "segmentation": "medstress.adapt.finetune",
    "classification": "medstress.adapt.finetune_classifier",
}
ATTACK = {
    "segmentation": "medstress.attack.segmentation",
    "classification": "medstress.attack.classification",
}
SCORE = {
    "segmentation": "medstress.score.segmentation",
    "classification": "medstress.score.classification",
}


def predict_code(wildcards):
    return code_of_run(PROJECT.runs[wildcards.run], "medstress.models.predict")


def embed_code(wildcards):
    return code_of_run(run_of(wildcards), "medstress.models.embed")


def embed_texts_code(wildcards):
    adapter = ADAPTERS[PROJECT.models[wildcards.model].adapter]
    return fingerprint("medstress.models.embed_texts", adapter)


def finetune_code(wildcards):
    run = PROJECT.runs[wildcards.run]
    return code_of_run(run, FINETUNE[PROJECT.task_of(run.name)])


def attack_code(wildcards):
    run = PROJECT.runs[wildcards.run]
    return code_of_run(run, ATTACK[PROJECT.task_of(run.name)])


def score_code(wildcards):
    return fingerprint(SCORE[PROJECT.task_of(wildcards.run)])


def table_code(wildcards):
    return fingerprint("medstress.tables.write", TABLES[wildcards.table].module)


def figure_code(wildcards):
    return fingerprint("medstress.figures.write", FIGURES[wildcards.figure].module)
