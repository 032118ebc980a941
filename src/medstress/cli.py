"""The `medstress` command."""

import argparse
import json
import os
import sys
from pathlib import Path

from medstress.configfile import json_schema, load_project
from medstress.stage import message_for


def _validate(arguments: argparse.Namespace) -> None:
    project = load_project(arguments.config)
    study = project.study
    cells = len(study.datasets) * len(study.runs) * len(study.perturbations.types) * len(study.perturbations.levels)
    print(
        f"{arguments.config} is valid: study {study.study}, {len(study.datasets)} data sets, {len(study.runs)} runs, "
        f"{len(study.perturbations.types)} perturbations, {cells} cells"
    )


def _schema(arguments: argparse.Namespace) -> None:
    text = json.dumps(json_schema(), indent=2) + "\n"
    arguments.output.write_text(text, encoding="utf-8")
    print(f"wrote {arguments.output}")


def main() -> int:
    """Entry point. Prints one message and returns 1 where the user has something to fix."""
    parser = argparse.ArgumentParser(prog="medstress", description="Stress tests for medical foundation models.")
    commands = parser.add_subparsers(dest="command", required=True)
    validate = commands.add_parser("validate", help="check a study and its cards, and print every problem at once")
    validate.add_argument("config", type=Path, help="the study, such as config/config.yaml")
    validate.set_defaults(action=_validate)
    schema = commands.add_parser("schema", help="regenerate the JSON schema of the configuration")
    schema.add_argument("output", type=Path, nargs="?", default=Path("workflow/schemas/config.schema.json"))
    schema.set_defaults(action=_schema)
    arguments = parser.parse_args()
    try:
        arguments.action(arguments)
    except Exception as error:
        if os.environ.get("MEDSTRESS_DEBUG"):
            raise
        print(f"medstress {arguments.command}: {message_for(error)}", file=sys.stderr)
        return 1
    return 0
