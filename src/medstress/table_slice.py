"""What tables and figures need to know of a study."""

from medstress.cards.classification import ClassificationCard
from medstress.cards.generation import GenerationCard
from medstress.cards.learned import Learned
from medstress.cards.model import ModelCard
from medstress.perturb.catalogue import types_of
from medstress.project import Project
from medstress.runs import Run, family_of
from medstress.severities import severity_of
from medstress.table_spec import TableSpec


def table_spec(project: Project, *, claims: bool = True) -> TableSpec:
    """The part of a study's configuration that tables and figures depend on; without `claims`, all but one table."""
    study, runs = project.study, project.runs.values()
    families = {family_of(run.name): run for run in reversed(runs)}
    scored_on: dict[str, set[str]] = {family: set() for family in families}
    for run in runs:
        scored_on[family_of(run.name)].update(project.scored_on(run.name))
    on = _fitting(project)
    made = [name for name, fitting in on.items() if fitting]
    return TableSpec(
        study=study.study,
        datasets={name: project.datasets[name].title for name in study.datasets},
        split_units={name: project.datasets[name].split.unit for name in study.datasets},
        runs={family: _title(project, run) for family, run in reversed(families.items())},
        scored_on={
            family: [one for one in study.datasets if one in scored_on[family]]
            for family in families
            if len(scored_on[family]) < len(study.datasets)
        },
        members=_members(project),
        baselines=[
            family for family, run in reversed(families.items()) if project.models[run.model].baseline or not run.image
        ],
        perturbations=made,
        fitting={name: fitting for name, fitting in on.items() if 0 < len(fitting) < len(study.datasets)},
        fixed=[name for name in made if project.is_fixed(name)],
        levels=sorted(study.perturbations.levels),
        attacks={attack.name: list(attack.epsilons) for attack in study.attacks},
        attacked=[family for family, run in reversed(families.items()) if project.attacked(run.name)],
        attacked_datasets=project.attacked_datasets,
        transfer=project.transfer_sources(),
        kept=[attack.name for attack in study.attacks if attack.keep_images],
        prompts={prompt.name: list(prompt.shares) for prompt in study.prompts},
        medical=[name for name in made if _is_medical(project, name)],
        partial={name: some for name in study.datasets if (some := project.partial_on(name))},
        tasks={name: project.datasets[name].task for name in study.datasets},
        classes={name: card.classes for name, card in project.datasets.items() if isinstance(card, ClassificationCard)},
        classification=study.classification,
        normalisers=_published_names(project),
        few_shot={
            family: few_shot
            for family, run in reversed(families.items())
            if run.strategy and (few_shot := project.strategies[run.strategy].few_shot)
        },
        adapted={family: _origin(project, run) for family, run in reversed(families.items()) if run.strategy},
        shifts={name: names for name in study.datasets if (names := _shifts(project, name))},
        no_image=_no_image(project),
        judges={judge.name: judge.title for judge in study.judges},
        caption_similarity=study.caption_encoder is not None,
        stand_ins=[
            *(family for family, run in reversed(families.items()) if _is_stand_in(project.models[run.model])),
            *(name for name in study.datasets if project.datasets[name].stand_in),
        ],
        claims=list(project.claims.values()) if claims else [],
        metrics=list(study.scoring.metrics),
        statistics=study.statistics,
    )


def _members(project: Project) -> dict[str, dict[str, list[str]]]:
    """The runs that a family stands for on each data set, where they are not called as it is."""
    found: dict[str, dict[str, list[str]]] = {}
    for run in project.runs:
        if (family := family_of(run)) != run:
            for dataset in project.scored_on(run):
                found.setdefault(family, {}).setdefault(dataset, []).append(run)
    return found


def _fitting(project: Project) -> dict[str, list[str]]:
    """The data sets that each type is made for."""
    on = {dataset: project.perturbations_on(dataset) for dataset in project.study.datasets}
    return {name: [one for one in on if name in on[one]] for name in project.study.perturbations.types}


def _is_medical(project: Project, perturbation: str) -> bool:
    """Whether a type belongs to modalities."""
    asked = project.study.perturbations
    kinds = (types_of(severity_of(asked, dataset)).get(perturbation) for dataset in project.study.datasets)
    return any(kind is not None and kind.modalities for kind in kinds)


def _title(project: Project, run: Run) -> str:
    title = project.models[run.model].title
    if run.strategy:
        return f"{title} + {project.strategies[run.strategy].title}"
    if not run.image:
        return f"{title} without the image"
    several = run.prompts is not None and len(project.study.prompt_sets) > 1
    return f"{title}, {run.prompts} prompts" if several else title


def _is_stand_in(model: ModelCard) -> bool:
    return isinstance(model, Learned) and model.stand_in


def _shifts(project: Project, dataset: str) -> list[str]:
    card = project.datasets[dataset]
    return [shift.name for shift in card.shifts] if isinstance(card, GenerationCard) else []


def _no_image(project: Project) -> dict[str, str]:
    """Of each family that has one: the same that is not shown the image.

    A model as it is was asked without the image; an adapted one was adapted without images and is otherwise the same.
    """
    blind = {_sighted(project, run): family_of(run.name) for run in project.runs.values() if not run.image}
    sighted = {family_of(run.name): _sighted(project, run) for run in project.runs.values() if run.image}
    return {family: blind[what] for family, what in sighted.items() if what in blind}


def _sighted(project: Project, run: Run) -> str:
    """What a run would be if it were shown the image."""
    if not run.strategy:
        return f"{run.model} {run.only}"
    shown = {"name": "", "title": "", "seeds": [0], "images": True}
    return f"{run.model} {project.strategies[run.strategy].model_copy(update=shown).model_dump_json()}"


def _published_names(project: Project) -> dict[str, str]:
    """What MedMNIST-C calls the data sets of the study that it has, where they are corrupted as it does.

    One that only counts as another of its sets is not that set: errors there say nothing about it.
    """
    asked = project.study.perturbations
    if asked.scale != "medmnist_c":
        return {}
    names = {name: getattr(card, "called", "") or name for name, card in project.datasets.items()}
    return {name: names[name] for name in project.study.datasets if severity_of(asked, name).variant == names[name]}


def _origin(project: Project, run: Run) -> str:
    """The run that an adapted run starts from: its model, asked the same; the model's name where the study has none."""
    alike = (one for one in project.runs.values() if not one.strategy and one.model == run.model)
    return next((one.name for one in alike if one.prompts == run.prompts), run.model)
