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
    adapting = [by_task(ADAPTING, run.name)] if run.strategy else []
    return in_environment(card, stage, ADAPTERS[card.adapter], *adapting)


def in_environment(card, *modules):
    # Other versions of packages may answer otherwise, so what was answered with them is not reused.
    return fingerprint(*modules) + environment_key(getattr(card, "environment", None))


def by_task(modules, run):
    tasks = PROJECT.tasks_of(run)
    return next(module for task, module in modules.items() if task in tasks)


# The modules behind a stage, by what the run is asked.
ADAPTING = {
    "segmentation": "medstress.adapt.trainable",
    "classification": "medstress.adapt.image_encoder",
    "vqa": "medstress.adapt.finetune_generator",
}
FINETUNE = {
    "segmentation": "medstress.adapt.finetune",
    "classification": "medstress.adapt.finetune_classifier",
    "vqa": "medstress.adapt.finetune_generator",
}
ATTACK = {
    "segmentation": "medstress.attack.segmentation",
    "classification": "medstress.attack.classification",
}
SCORE = {
    "segmentation": "medstress.score.segmentation",
    "classification": "medstress.score.classification",
    "vqa": "medstress.score.vqa",
    "captioning": "medstress.score.captioning",
    "grounding": "medstress.score.grounding",
}


def predict_code(wildcards):
    return code_of_run(PROJECT.runs[wildcards.run], "medstress.models.predict")


def answer_code(wildcards):
    return code_of_run(PROJECT.runs[wildcards.run], "medstress.answers.dataset")


def judge_code(wildcards):
    card = PROJECT.models[model_of(wildcards)]
    return in_environment(card, "medstress.answers.judging", ADAPTERS[card.adapter])


def embed_code(wildcards):
    return code_of_run(run_of(wildcards), "medstress.models.embed")


def embed_texts_code(wildcards):
    card = PROJECT.models[wildcards.model]
    return in_environment(card, "medstress.models.embed_texts", ADAPTERS[card.adapter])


def finetune_code(wildcards):
    run = PROJECT.runs[wildcards.run]
    return code_of_run(run, by_task(FINETUNE, run.name))


def attack_code(wildcards):
    run = PROJECT.runs[wildcards.run]
    return code_of_run(run, by_task(ATTACK, run.name))


def score_code(wildcards):
    return fingerprint(SCORE[PROJECT.datasets[wildcards.dataset].task])


def table_code(wildcards):
    return fingerprint("medstress.tables.write", TABLES[wildcards.table].module)


def figure_code(wildcards):
    return fingerprint("medstress.figures.write", FIGURES[wildcards.figure].module)


def page_code(wildcards):
    return fingerprint("medstress.page.write") + assets_fingerprint()
