"""What a valid study may still lack when it runs: files that are not there yet, runs that a claim is about."""

from collections.abc import Iterator
from pathlib import Path

from medstress.fetch.plan import dataset_folder, dataset_paths
from medstress.project import Project
from medstress.table_slice import table_spec


def warnings_of(project: Project) -> Iterator[str]:
    """What to know before the study runs, a line each."""
    yield from _absent_files(project)
    yield from _claims_without_runs(project)


def _absent_files(project: Project) -> Iterator[str]:
    """The files and folders of data sets that are not there, and that no rule fetches."""
    for name, card in project.datasets.items():
        by_hand = any(item.by_hand for item in card.download)
        if dataset_folder(card) is not None and not by_hand:
            continue
        if absent := [path for path in dataset_paths(card) if not Path(path).exists()]:
            remedy = "put it there by hand, as its card says" if by_hand else "it has to be there before the study runs"
            yield f"data set {name}: {', '.join(absent)}: not there yet; {remedy}"


def _claims_without_runs(project: Project) -> Iterator[str]:
    """Patterns of claims that choose no run: where the study names its claims each one, otherwise of a whole side."""
    # Brings pandas, which reading a study does without.
    from medstress.score.claims import chosen_runs

    if "claims" not in project.study.tables:
        return
    spec, named = table_spec(project), project.study.claims is not None
    for claim in spec.claims:
        part = spec.of_task(claim.test.task)
        lost: dict[str, None] = {}
        for side in (claim.test.of, *claim.test.against.values()):
            patterns = [one for one in side if not one.startswith("!")]
            if named or not chosen_runs(part, side):
                lost |= dict.fromkeys(one for one in patterns if not chosen_runs(part, [one]))
        if lost:
            yield f"claim {claim.name}: {', '.join(lost)}: matches no run of this study"
