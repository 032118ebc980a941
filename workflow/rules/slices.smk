# The slices of the study that rules depend on: plain JSON strings, so that a changed key reruns the rules that use it and
# no other.
def prepare_spec(wildcards):
    return PROJECT.prepare_spec(wildcards.dataset).model_dump_json()


def fetch_dataset_spec(wildcards):
    spec = fetch_slice.fetch_dataset_spec(PROJECT, wildcards.dataset)
    return spec.model_dump_json()


def fetch_weights_spec(wildcards):
    folder = str(MODELS / wildcards.weights)
    return fetch_slice.fetch_weights_spec(PROJECT, folder).model_dump_json()


def perturb_spec(wildcards):
    return PROJECT.perturb_spec(
        wildcards.dataset, wildcards.perturbation
    ).model_dump_json()


def predict_spec(wildcards):
    return PROJECT.predict_spec(wildcards.run, wildcards.dataset).model_dump_json()


def answer_spec(wildcards):
    return answer_slice.answer_spec(
        PROJECT, wildcards.run, wildcards.dataset
    ).model_dump_json()


def embed_spec(wildcards):
    return classify_slice.embed_spec(
        PROJECT, wildcards.encoder, wildcards.dataset
    ).model_dump_json()


def embed_texts_spec(wildcards):
    return classify_slice.embed_texts_spec(PROJECT, wildcards.model).model_dump_json()


def classify_spec(wildcards):
    return classify_slice.classify_spec(
        PROJECT, wildcards.run, wildcards.dataset
    ).model_dump_json()


def judge_spec(wildcards):
    return judge_slice.judge_spec(
        PROJECT, wildcards.judge, wildcards.run, wildcards.dataset
    ).model_dump_json()


def embed_captions_spec(wildcards):
    return EmbedCaptionsSpec(encoder=STUDY.caption_encoder).model_dump_json()


def attack_spec(wildcards):
    return PROJECT.attack_spec(wildcards.run, wildcards.dataset).model_dump_json()


def table_spec(wildcards):
    # A reworded claim redoes the table of claims alone.
    claims = wildcards.get("table") == "claims"
    return table_slice(PROJECT, claims=claims).model_dump_json()


def finetune_spec(wildcards):
    return PROJECT.finetune_spec(wildcards.run).model_dump_json()


def score_spec(wildcards):
    return PROJECT.score_spec(wildcards.run, wildcards.dataset).model_dump_json()


def page_spec(wildcards):
    return page_slice(PROJECT).model_dump_json()
