"""What the page needs to know of a study."""

from medstress.cards.classification import ClassificationCard
from medstress.page.spec import PageSpec, RunOrigin
from medstress.project import Project
from medstress.runs import Run
from medstress.table_slice import table_spec


def page_spec(project: Project) -> PageSpec:
    """The part of a study's configuration that the page depends on."""
    cards = {name: project.datasets[name] for name in project.study.datasets}
    return PageSpec(
        tables=table_spec(project, claims=False),
        shown=project.study.tables,
        figures=project.study.figures,
        classes={name: card.classes for name, card in cards.items() if isinstance(card, ClassificationCard)},
        runs={run.name: _origin(project, run) for run in project.runs.values()},
        prompts=project.study.prompts,
    )


def _origin(project: Project, run: Run) -> RunOrigin:
    card = project.models[run.model]
    return RunOrigin(
        model=run.model,
        weights=getattr(card, "weights", None),
        sha256=getattr(card, "sha256", None),
        strategy=run.strategy,
        trainset=run.trainset,
        seed=run.seed,
        prompts=run.prompts,
    )
