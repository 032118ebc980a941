"""Draws one figure and writes it as SVG and PNG."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from medstress.errors import MedstressError
from medstress.figures.registry import FIGURES
from medstress.figures.style import save, style
from medstress.names import FigureName
from medstress.table_spec import TableSpec


def write_figure(
    spec: TableSpec, name: FigureName, sources: Mapping[str, Sequence[Path]], outputs: Mapping[str, Path]
) -> None:
    """Draw the figure `name` from `sources`, paths by kind of record, into outputs["svg"] and outputs["png"].

    Raises MedstressError where a kind of record that the figure reads is not given, or the study has no data set of
    the figure's task.
    """
    entry = FIGURES[name]
    spec = spec.of_task(entry.task)
    if not spec.datasets:
        raise MedstressError(f"figure {name}: the study has no {entry.task} data set. Leave the figure out.")
    if missing := [kind for kind in entry.reads if not sources.get(kind)]:
        raise MedstressError(
            f"figure {name}: there are no {' and no '.join(missing)} to draw. The study must name some."
        )
    with style():
        figure = import_module(entry.module).draw(spec, sources)
        save(figure, outputs["svg"], outputs["png"])
