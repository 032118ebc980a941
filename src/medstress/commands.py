"""The commands of `medstress` for people who only want perturbed images."""

import argparse
import re
import sys
from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from medstress.cards.dataset import DatasetCard
from medstress.cards.segmentation import SegmentationCard
from medstress.datasets.write_boxes import write_boxes
from medstress.errors import MedstressError
from medstress.exports.dataset_card import write_dataset_card
from medstress.exports.source import find_perturbed, read_labels
from medstress.exports.write import EXPORTS, export
from medstress.imagefolder.perturb import FolderJob, perturb_folder
from medstress.names import Modality, ScaleName
from medstress.perturb.catalogue import types_of
from medstress.perturb.protocol import Perturbation
from medstress.perturb.scales.protocol import Published
from medstress.problems import ConfigError, problems_of, read_yaml
from medstress.specs import SeveritySpec


def add_image_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `list` and `perturb`."""
    listing = commands.add_parser("list", help="print every perturbation: name, modality, unit, range of strength")
    _add_scale(listing)
    listing.add_argument("--modality", choices=get_args(Modality), help="only the types that fit this modality")
    listing.set_defaults(action=_list)

    perturb = commands.add_parser("perturb", help="perturb every image of a folder: OUT/{type}/{level}/{name}.png")
    perturb.add_argument(
        "source",
        type=Path,
        metavar="IN",
        help="folder of PNG, JPEG, TIFF, NPY, DICOM or NIfTI files; folders below it that are called masks, labels, "
        "segmentations or annotations are left out",
    )
    perturb.add_argument("out", type=Path, metavar="OUT", help="where images and manifest.csv go; run again to go on")
    perturb.add_argument("--modality", choices=get_args(Modality), required=True, help="what kind of images these are")
    perturb.add_argument("--types", help="names, separated by commas (default: all that fit the modality)")
    perturb.add_argument("--levels", default="1-5", help="such as 1-5 or 1,3,5 (default: %(default)s)")
    _add_scale(perturb)
    perturb.add_argument("--compat", action="store_true", help="reproduce what a published scale is known to get wrong")
    perturb.add_argument("--window", help="LOW,HIGH: intensities shown as black and white, for more than 8 bits")
    perturb.add_argument("--seed", type=int, default=0, help="another number is another draw (default: %(default)s)")
    perturb.add_argument("--workers", type=int, default=1, help="processes; the bytes do not depend on it")
    perturb.add_argument("--force", action="store_true", help="also make types that are for another modality")
    perturb.set_defaults(action=_perturb)


def add_export_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export`."""
    parser = commands.add_parser("export", help="write a study's perturbed images in the format of another benchmark")
    parser.add_argument("study", type=Path, help="the study's results, such as results/demo")
    parser.add_argument("dataset", help="one of its data sets")
    parser.add_argument("out", type=Path, help="where the files go")
    parser.add_argument("--format", choices=list(EXPORTS), required=True)
    parser.add_argument("--labels", type=Path, help="CSV sheet: image_id and a column of class indices for each label")
    parser.add_argument(
        "--card", type=Path, help="the data set's card, for the README.md of hugging_face: its title and licence"
    )
    parser.set_defaults(action=_export)


def add_export_results_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export-results`."""
    parser = commands.add_parser("export-results", help="write a study's scores of classifiers as published ones are")
    parser.add_argument("study", type=Path, help="the study's results, such as results/demo")
    parser.add_argument("out", type=Path, metavar="FOLDER", help="where the JSON files go")
    parser.add_argument("--layout", choices=("robustmedclip", "medmnist_c"), required=True)
    parser.set_defaults(action=_export_results)


def add_rating_sheet_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `rating-sheet`."""
    parser = commands.add_parser(
        "rating-sheet", help="write a sheet for people to rate answers on: CSV, and a page that needs no network"
    )
    parser.add_argument("study", type=Path, help="the study's results, such as results/demo")
    parser.add_argument("dataset", help="one of its data sets of questions")
    parser.add_argument("run", help="the run whose answers are rated; raters are not told")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder for sheet.csv and sheet.html")
    parser.add_argument("--answer-type", choices=("open", "closed"), default="open", help="(default: %(default)s)")
    parser.add_argument("--count", type=int, default=50, help="most answers on the sheet (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=123, help="another number is another draw (default: %(default)s)")
    parser.add_argument("--balance", metavar="JUDGE", default="", help="as many answers of each score of this judge")
    parser.set_defaults(action=_rating_sheet)


def add_boxes_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `boxes`."""
    parser = commands.add_parser("boxes", help="write the boxes of a data set's masks, as published benchmarks do")
    parser.add_argument("card", type=Path, help="the data set's card, such as config/datasets/isic2016.yaml")
    parser.add_argument("out", type=Path, help="the JSON file: {mask file name: [x1, y1, x2, y2]}, ends inclusive")
    parser.set_defaults(action=_boxes)


def _boxes(arguments: argparse.Namespace) -> None:
    data = read_yaml(arguments.card)
    try:
        card = SegmentationCard.model_validate(data)
    except ValidationError as error:
        raise ConfigError(list(problems_of(error, SegmentationCard, arguments.card))) from None
    count = write_boxes(card, Path(), arguments.out)
    print(f"{arguments.out}: {count} boxes", file=sys.stderr)


def _rating_sheet(arguments: argparse.Namespace) -> None:
    # Brings pandas, which the other commands start without.
    from medstress.exports.rating_sheet import Wanted, write_rating_sheet

    if arguments.count < 1:
        raise MedstressError(f"--count {arguments.count}: at least 1")
    wanted = Wanted(
        dataset=arguments.dataset,
        run=arguments.run,
        answer_type=arguments.answer_type,
        count=arguments.count,
        seed=arguments.seed,
        judge=arguments.balance,
    )
    count = write_rating_sheet(arguments.study, wanted, arguments.out)
    print(f"{arguments.out}: {count} answers to rate on sheet.html or sheet.csv", file=sys.stderr)


def _export(arguments: argparse.Namespace) -> None:
    source = find_perturbed(arguments.study, arguments.dataset)
    labels = read_labels(arguments.labels, source.ids) if arguments.labels else None
    card = _dataset_card(arguments.card) if arguments.card else None
    export(source, labels, arguments.out, arguments.format)
    if card and arguments.format == "hugging_face":
        write_dataset_card(card, source, arguments.out / "README.md")
    cells = len(source.ids) * len(source.records) * len(source.levels)
    print(f"{arguments.out}: {cells} perturbed images of {len(source.records)} types", file=sys.stderr)


def _dataset_card(path: Path) -> DatasetCard:
    data = read_yaml(path)
    try:
        card: DatasetCard = TypeAdapter(DatasetCard).validate_python(data)
    except ValidationError as error:
        raise ConfigError(list(problems_of(error, DatasetCard, path))) from None
    return card


def _export_results(arguments: argparse.Namespace) -> None:
    # Brings pandas, which the other commands start without.
    from medstress.exports.results import export_results

    count = export_results(arguments.study, arguments.out, arguments.layout)
    print(f"{arguments.out}: {count} files", file=sys.stderr)


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", choices=get_args(ScaleName), default="ssim", help="(default: %(default)s)")
    parser.add_argument("--variant", default="", help="for scales that differ by data set: which one, as bloodmnist")


def _range(kind: Perturbation | Published) -> str:
    if isinstance(kind, Published):
        return " | ".join(" ".join(f"{value:g}" for value in severity) for severity in kind.severities)
    if kind.table is not None:
        return " | ".join(f"{value:g}" for value in kind.table)
    return f"{kind.mildest:g} to {kind.strongest:g}"


def _unit(kind: Perturbation | Published) -> str:
    return ", ".join(kind.parameters) if isinstance(kind, Published) else kind.unit


def _list(arguments: argparse.Namespace) -> None:
    kinds = types_of(SeveritySpec(scale=arguments.scale, variant=arguments.variant))
    for name, kind in kinds.items():
        if arguments.modality is None or kind.fits(arguments.modality):
            fits = ",".join(sorted(kind.modalities)) or "any"
            print(f"{name:<22} {fits:<42} {_unit(kind)}: {_range(kind)}")


def _levels(text: str) -> tuple[int, ...]:
    found = [re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()) for part in text.split(",")]
    if not all(found):
        raise MedstressError(f"--levels {text}: expected levels such as 1-5 or 1,3,5")
    spans = [(int(match[1]), int(match[2] or match[1])) for match in found if match]
    levels = sorted({level for low, high in spans for level in range(low, high + 1)})
    if not levels:
        raise MedstressError(f"--levels {text}: names no level; a range goes upwards, as 1-5")
    return tuple(levels)


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise MedstressError(f"--window {text}: expected two numbers, as in --window=-160,240") from None
    if not low < high:
        raise MedstressError(f"--window {text}: the first number must be below the second")
    return low, high


def _perturb(arguments: argparse.Namespace) -> None:
    severity = SeveritySpec(scale=arguments.scale, variant=arguments.variant, compat=arguments.compat)
    fitting = [name for name, kind in types_of(severity).items() if kind.fits(arguments.modality)]
    named = [name.strip() for name in arguments.types.split(",") if name.strip()] if arguments.types else fitting
    if not named:
        raise MedstressError(f"--types {arguments.types}: names no type")
    if arguments.compat and arguments.scale == "ssim":
        raise MedstressError("--compat: name a published --scale; ssim has nothing to be compatible with")
    if arguments.workers < 1:
        raise MedstressError(f"--workers {arguments.workers}: at least 1")
    job = FolderJob(
        source=arguments.source,
        out=arguments.out,
        modality=arguments.modality,
        types=tuple(dict.fromkeys(named)),
        levels=_levels(arguments.levels),
        severity=severity,
        seed=arguments.seed,
        window=_window(arguments.window),
        force=arguments.force,
    )
    outcome = perturb_folder(job, workers=arguments.workers)
    statuses = ", ".join(f"{count} {status}" for status, count in outcome.statuses.items())
    print(f"{outcome.manifest}: {statuses or 'no images'}", file=sys.stderr)
    print(f"{outcome.made} image-type pairs made, {outcome.found} found from before", file=sys.stderr)
    if outcome.left_out:
        folders = ", ".join(map(str, outcome.left_out))
        print(f"left out, as masks or labels by their names: {folders}. To perturb one, name it as IN", file=sys.stderr)
    if outcome.rejects:
        count = len(outcome.rejects)
        raise MedstressError("\n".join([f"{count} image{'s' if count > 1 else ''} left out:", *outcome.rejects]))
