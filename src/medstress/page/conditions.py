"""What a data set's images or prompts are put under: perturbations, attacks, moved prompts."""

from typing import Literal, NamedTuple

from medstress.table_spec import TableSpec

Kind = Literal["perturbation", "attack", "prompt"]


class Condition(NamedTuple):
    """One of them by name."""

    name: str
    kind: Kind


def conditions_on(spec: TableSpec, dataset: str) -> list[Condition]:
    """All that a data set of a study is put under, perturbations first."""
    own = spec.of_task(spec.tasks.get(dataset, "segmentation"))
    attacks = own.attacks if dataset in own.attacked_datasets and own.attacked else {}
    return [
        *(Condition(name, "perturbation") for name in own.perturbations_on(dataset)),
        *(Condition(name, "attack") for name in attacks),
        *(Condition(name, "prompt") for name in own.prompts),
    ]


def runs_under(spec: TableSpec, dataset: str, condition: Condition) -> list[str]:
    """The runs that have to have scores there: only those with gradients are attacked."""
    return [run for run in spec.runs_on(dataset) if condition.kind != "attack" or run in spec.attacked]
