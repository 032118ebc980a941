"""What rules embed, embed_texts and classify need to know of a study."""

from medstress.cards.classifier import ImageClassifier, ImageText, MajorityClass
from medstress.models.zeroshot.head import texts_of
from medstress.project import Project, unnamed
from medstress.specs import ClassifySpec, EmbedSpec, EmbedTextsSpec


def embed_spec(project: Project, encoder: str, dataset: str) -> EmbedSpec:
    """The part of the configuration that embed depends on."""
    run = project.encoders[encoder]
    model = project.models[run.model]
    assert isinstance(model, ImageText | ImageClassifier)
    return EmbedSpec(
        encoder=encoder,
        model=unnamed(model),
        strategy=project.strategies[run.strategy] if run.strategy else None,
        seed=run.seed,
        dataset=dataset,
        split=project.study.split,
    )


def embed_texts_spec(project: Project, model: str) -> EmbedTextsSpec:
    """The part of the configuration that embed_texts depends on."""
    card = project.models[model]
    assert isinstance(card, ImageText)
    asked = [
        project.texts_of(run.name, dataset)
        for run in project.runs.values()
        if run.model == model
        for dataset in project.scored_on(run.name)
    ]
    return EmbedTextsSpec(model=unnamed(card), texts=sorted({text for one in asked for text in texts_of(one)}))


def classify_spec(project: Project, name: str, dataset: str) -> ClassifySpec:
    """The part of the configuration that classify depends on."""
    run, model = project.runs[name], project.model_of(name)
    assert isinstance(model, ImageText | ImageClassifier | MajorityClass)
    return ClassifySpec(
        run=name,
        model=model,
        strategy=project.strategies[run.strategy] if run.strategy else None,
        seed=run.seed,
        dataset=dataset,
        split=project.study.split,
        texts=project.texts_of(name, dataset),
    )
