"""The `medstress` command."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from medstress.commands import (
    add_boxes_command,
    add_export_command,
    add_export_results_command,
    add_image_commands,
    add_rating_sheet_command,
)
from medstress.config_warnings import warnings_of
from medstress.configfile import load_project
from medstress.exports.run_count import counted_runs
from medstress.reference import MARK, json_schema, key_reference
from medstress.stage import message_for
from medstress.study_commands import add_study_commands


def _validate(arguments: argparse.Namespace) -> None:
    project = load_project(arguments.config)
    study = project.study
    scored = [(run, dataset) for run in project.runs for dataset in project.scored_on(run)]
    kinds = sum(len(project.perturbations_on(dataset)) for _, dataset in scored)
    cells = kinds * len(study.perturbations.levels)
    print(
        f"{arguments.config} is valid: study {study.study}, {len(study.datasets)} data sets, "
        f"{counted_runs(project.runs)}, {len(study.perturbations.types)} perturbations, {cells} cells"
    )
    meant = [run for run in project.runs if set(project.scored_on(run)) & set(project.attacked_datasets)]
    spared = [run for run in meant if not project.attacked(run)]
    if spared:
        print(f"not attacked, for want of gradients: {', '.join(spared)}")
    for warning in warnings_of(project):
        print(f"warning: {warning}", file=sys.stderr)


def _folder(arguments: argparse.Namespace) -> None:
    print(Path("results") / load_project(arguments.config).study.study)


def _outputs(arguments: argparse.Namespace) -> None:
    folder = Path("results") / load_project(arguments.config).study.study
    # The page comes last, where eyes are.
    kinds = {"tables": "tables/*.md", "figures": "figures/*.png", "report": "report.html", "page": "index.html"}
    for kind, pattern in kinds.items():
        found = sorted(folder.glob(pattern))
        print(f"{kind}:" if found else f"{kind}: none yet")
        for path in found:
            print(path if kind == "page" else f"  {path}")


def _schema(arguments: argparse.Namespace) -> None:
    schema, readme = Path("workflow/schemas/config.schema.json"), Path("config/README.md")
    schema.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    introduction = readme.read_text(encoding="utf-8").split(MARK)[0]
    readme.write_text(f"{introduction}{MARK}\n\n{key_reference()}", encoding="utf-8")
    print(f"wrote {schema} and {readme}")


def main() -> int:
    """Entry point. Prints one message and returns 1 where the user has something to fix."""
    parser = argparse.ArgumentParser(prog="medstress", description="Stress tests for medical foundation models.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, action, text in (
        ("validate", _validate, "check a study and its cards, and print every problem at once"),
        ("folder", _folder, "print the folder that a study's results go to"),
        ("outputs", _outputs, "list the tables, figures, report and page of a study that are there"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("config", type=Path, help="the study, such as config/config.yaml")
        command.set_defaults(action=action)
    schema = commands.add_parser("schema", help="regenerate the JSON schema and the reference in config/README.md")
    schema.set_defaults(action=_schema)
    add_image_commands(commands)
    add_export_command(commands)
    add_export_results_command(commands)
    add_rating_sheet_command(commands)
    add_boxes_command(commands)
    add_study_commands(commands)
    arguments = parser.parse_args()
    try:
        arguments.action(arguments)
    except Exception as error:
        if os.environ.get("MEDSTRESS_DEBUG"):
            raise
        print(f"medstress {arguments.command}: {message_for(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if os.environ.get("MEDSTRESS_DEBUG"):
            raise
        print(f"medstress {arguments.command}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
