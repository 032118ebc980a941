"""What rule judge needs to know of a study."""

from medstress.cards.generation import GenerationCard
from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.cards.judge import Judge
from medstress.cards.local_vlm import LocalVlm
from medstress.project import Project, unnamed
from medstress.specs import JudgeSpec


def judges(project: Project) -> dict[str, Judge]:
    """The study's judges by name."""
    return {judge.name: judge for judge in project.study.judges}


def judged(project: Project) -> list[tuple[str, str]]:
    """Run and data set of all answers that every judge of the study is asked about: those to questions."""
    asked = [name for name in project.study.datasets if project.datasets[name].task == "vqa"]
    runs = project.runs if project.study.judges else {}
    return [(run, dataset) for run in runs for dataset in project.scored_on(run) if dataset in asked]


def judge_spec(project: Project, name: str, run: str, dataset: str) -> JudgeSpec:
    """The part of the configuration that judge depends on."""
    judge, card = judges(project)[name], project.datasets[dataset]
    model = project.models[judge.model]
    assert isinstance(card, GenerationCard)
    assert isinstance(model, LocalVlm | OpenAiApi | GeminiApi)
    return JudgeSpec(
        judge=judge.model_copy(update={"title": ""}),
        model=unnamed(model)
        if isinstance(model, LocalVlm)
        else model.model_copy(update={"title": "", "baseline": False}),
        run=run,
        dataset=dataset,
        third_party_api=card.third_party_api,
    )
