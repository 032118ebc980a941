"""The texts that stand for the classes of a data set."""

from medstress.cards.classification import ClassificationCard
from medstress.cards.prompts import PromptSet
from medstress.specs import ClassTexts


def class_texts(card: ClassificationCard, prompts: PromptSet | None) -> ClassTexts:
    """Every template of a prompt set filled in for every class; no texts without a prompt set."""
    classes = card.classes
    if prompts is None:
        return ClassTexts(kind=classes.kind, classes=classes.names, texts=[])
    modality = card.phrase or ("medical" if card.modality == "mixed" else card.modality)
    given = {"modality": modality, "dataset": card.called or card.name}

    def texts(templates: list[str]) -> list[list[str]]:
        return [
            [template.format(**given, **{"class": classes.phrases.get(name, name)}) for template in templates]
            for name in classes.names
        ]

    return ClassTexts(
        kind=classes.kind,
        classes=classes.names,
        texts=texts(prompts.templates),
        negatives=texts(prompts.negatives) if classes.kind == "multi_label" else [],
        combine=prompts.combine,
    )
