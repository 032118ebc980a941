"""The commands of `medstress` about the results of a study."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from medstress.configfile import load_project
from medstress.errors import MedstressError
from medstress.exports.run_count import counted_runs
from medstress.problems import ConfigError, read_yaml
from medstress.project import Project
from medstress.table_slice import table_spec

_NAMED = 10
"""Missing records, and tables, that are named."""


def add_study_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bundle`, `export-paper`, `compare` and `summary`."""
    bundle = commands.add_parser("bundle", help="pack what tables are made of, without images or weights, into a ZIP")
    bundle.add_argument("results", type=Path, help="the study's results, such as results/demo")
    bundle.add_argument("out", type=Path, metavar="OUT.zip", help="give it to --config bundle=OUT.zip of snakemake")
    _add_config(bundle)
    bundle.set_defaults(action=_bundle)

    paper = commands.add_parser(
        "export-paper",
        help="write what a paper takes from a study: tables (Excel, LaTeX), JSON a run, cards of results and data",
    )
    paper.add_argument("results", type=Path, help="the study's results, such as results/demo")
    paper.add_argument("out", type=Path, metavar="FOLDER", help="where the files go")
    _add_config(paper)
    paper.set_defaults(action=_export_paper)

    compare = commands.add_parser("compare", help="say which numbers of the tables of two results differ beyond noise")
    compare.add_argument("before", type=Path, help="results of a study, such as results/a")
    compare.add_argument("after", type=Path, help="results to compare with them, such as results/b")
    compare.set_defaults(action=_compare)

    summary = commands.add_parser("summary", help="print a study's scores and main tables as plain text")
    summary.add_argument("results", type=Path, help="the study's results, such as results/demo")
    _add_config(summary)
    summary.set_defaults(action=_summary)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", type=Path, help="the study (default: the one in config/ with this name)")


def find_study(results: Path, configfile: Path | None) -> tuple[Path, Project]:
    """The study that results/{study} are of, and its file.

    Raises MedstressError where the file is of another study, or none or several in config/ have its name.
    """
    name = results.resolve().name
    if configfile is None:
        found = [path for path in sorted(Path("config").glob("*.yaml")) if _study_name(path) == name]
        if len(found) != 1:
            several = f"{', '.join(map(str, found))} have this name" if found else "no study in config/ has this name"
            raise MedstressError(f"{results}: {several}. Name its file: --configfile config/mine.yaml")
        configfile = found[0]
    project = load_project(configfile)
    if project.study.study != name:
        raise MedstressError(f"{configfile}: is the study {project.study.study}, and {results} are those of {name}.")
    return configfile, project


def _study_name(path: Path) -> object:
    try:
        return read_yaml(path).get("study")
    except (ConfigError, AttributeError):
        return None


def _missing_records(results: Path, project: Project) -> list[str]:
    """What tables read and is not below results/{study}."""
    study = project.study
    wanted = [f"scores/{run}/{dataset}.parquet" for run in project.runs for dataset in project.scored_on(run)]
    wanted += [
        f"perturbed/{dataset}/{name}.parquet"
        for dataset in study.datasets
        for name in project.perturbations_on(dataset)
        if not project.reads_corrupted(dataset)
    ]
    wanted += [f"checkpoints/{run.name}/training.json" for run in project.runs.values() if run.strategy]
    return sorted(name for name in wanted if not (results / name).is_file())


def _found_study(results: Path) -> tuple[Path, Project] | None:
    """The study that results are of; None where no file in config/ is, or the one that is cannot be used."""
    try:
        return find_study(results, None)
    except MedstressError:
        return None


def _say_missing(source: Path, missing: Sequence[str], consequence: str) -> None:
    if missing:
        lines = "".join(f"\n  {name}" for name in _some(missing))
        _say(f"The study lacks {len(missing)} records, so {consequence}. `{_command(source)}` makes them:{lines}")


def _say_state(results: Path, study: tuple[Path, Project] | None) -> None:
    """What is not as a finished run leaves it: records that lack, tables of other records, edited tables."""
    from medstress.exports.made_tables import edited_tables
    from medstress.outdated import outdated_tables

    if study is not None:
        _say_missing(study[0], _missing_records(results, study[1]), f"tables in {results} have holes")
    command = _command(study[0] if study else Path("config/STUDY.yaml"))
    if old := outdated_tables(results):
        _say(f"{_counted(old, results)} older than the scores: run `{command}` again. {', '.join(_some(old))}")
    if edited := edited_tables(results):
        _say(
            f"{_counted(edited, results)} edited: the .csv is not what the .parquet says, and the .parquet was read. "
            f"Delete the .csv and run `{command}` again. {', '.join(_some(edited))}"
        )


def _command(source: Path) -> str:
    return f"snakemake --profile local --configfile {source}"


def _some(names: Sequence[str]) -> list[str]:
    return [*names[:_NAMED], *([f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else [])]


def _counted(tables: Sequence[str], results: Path) -> str:
    return f"1 table in {results} is" if len(tables) == 1 else f"{len(tables)} tables in {results} are"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _bundle(arguments: argparse.Namespace) -> None:
    # Brings pandas and pyarrow, which the other commands start without.
    from medstress.exports.bundle import pack_bundle

    source, project = find_study(arguments.results, arguments.configfile)
    texts = {source.name: source}
    for folder, cards in (
        ("datasets", project.datasets),
        ("models", project.models),
        ("strategies", project.strategies),
        ("claims", project.claims),
    ):
        for name in cards:
            path = source.parent / folder / f"{name}.yaml"
            texts[f"{folder}/{name}.yaml"] = path if path.is_file() else Path("config") / folder / f"{name}.yaml"
    ratings = [Path(path) for path in project.study.ratings]
    missing = _missing_records(arguments.results, project)
    count = pack_bundle(arguments.results, table_spec(project), texts, ratings, arguments.out, missing)
    print(f"{arguments.out}: {count} files", file=sys.stderr)
    _say_missing(source, missing, "tables from this bundle have holes")


def _export_paper(arguments: argparse.Namespace) -> None:
    from medstress.exports.dataset_card import write_dataset_card
    from medstress.exports.latex_document import in_order, write_latex_document
    from medstress.exports.made_tables import read_made_tables
    from medstress.exports.results_card import write_results_card
    from medstress.exports.run_results import write_run_results
    from medstress.exports.source import find_perturbed
    from medstress.exports.workbook import write_workbook
    from medstress.score.robustness import read_scores

    results, out = arguments.results, arguments.out
    source, project = find_study(results, arguments.configfile)
    spec, tables = table_spec(project), read_made_tables(results)
    write_workbook(tables, out / "tables.xlsx")
    documents = [results / "tables" / f"{table.name}.tex" for table in tables]
    write_latex_document(in_order(documents, project.study.tables), out / "tables.tex")
    for path in sorted(path for kind in ("csv", "md", "tex") for path in (results / "tables").glob(f"*.{kind}")):
        (out / "tables").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / "tables" / path.name)
    write_results_card(spec, tables, results, out / "RESULTS.md")
    scores = read_scores(list((results / "scores").glob("*/*.parquet")))
    runs = write_run_results(spec, scores, out / "runs")
    cards = [name for name in spec.datasets if any((results / "perturbed" / name).glob("*.parquet"))]
    for name in cards:
        card = out / "datasets" / name / "README.md"
        write_dataset_card(project.datasets[name], find_perturbed(results, name), card)
    counted = f"{runs} of " * (runs < len(spec.runs)) + counted_runs(project.runs)
    _say(f"{out}: {len(tables)} tables, {counted}, {len(cards)} cards of data sets")
    _say_state(results, (source, project))


def _compare(arguments: argparse.Namespace) -> None:
    from medstress.exports.compare import compare_results, comparison_lines

    for line in comparison_lines(compare_results(arguments.before, arguments.after)):
        print(line)
    for results in dict.fromkeys([arguments.before, arguments.after]):
        _say_state(results, _found_study(results))


def _summary(arguments: argparse.Namespace) -> None:
    from medstress.exports.summary import summary_lines

    results, configfile = arguments.results, arguments.configfile
    study = find_study(results, configfile) if configfile else _found_study(results)
    for line in summary_lines(results, shutil.get_terminal_size((120, 24)).columns):
        print(line)
    _say_state(results, study)
    if study is None:
        _say(
            f"No study in config/ is called {results.resolve().name}: name its file with --configfile to see what lacks"
        )
