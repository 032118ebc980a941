"""What rule answer needs to know of a study."""

from medstress.cards.generation import GenerationCard
from medstress.cards.learned import Learned
from medstress.cards.model import Generator
from medstress.project import Project, unnamed
from medstress.specs import AnswerSpec


def answer_spec(project: Project, run: str, dataset: str) -> AnswerSpec:
    """The part of the configuration that answer depends on."""
    named, model, card = project.runs[run], project.model_of(run), project.datasets[dataset]
    assert isinstance(model, Generator)
    assert isinstance(card, GenerationCard)
    quiet = unnamed(model) if isinstance(model, Learned) else model.model_copy(update={"title": "", "baseline": False})
    return AnswerSpec(
        run=run,
        model=quiet,
        strategy=project.strategies[named.strategy] if named.strategy else None,
        seed=named.seed,
        image=named.image,
        dataset=dataset,
        split=project.study.split,
        prompts=project.study.question_prompts,
        shifts=project.shifts_of(run, dataset),
        third_party_api=card.third_party_api,
    )
