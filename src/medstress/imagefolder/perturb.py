"""Perturbs every image of a folder: out/{type}/{level}/{name}.png and a manifest."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from medstress.datasets.candidate import BadSampleError
from medstress.datasets.formats import grid_of, is_picture, read_picture, stem_of
from medstress.datasets.picture import Picture, Values
from medstress.errors import MedstressError
from medstress.fingerprint import fingerprint
from medstress.imagefolder.ledger import Ledger, StoredCell
from medstress.journal import content_key
from medstress.names import Modality
from medstress.perturb.catalogue import type_of
from medstress.perturb.corrupt import checked_scene
from medstress.perturb.levels import level_count, make_levels, require_fit
from medstress.perturb.protocol import Perturbation, Scene
from medstress.perturb.scales.protocol import Published
from medstress.perturb.warp import valid_pixels
from medstress.perturb.workers import in_order
from medstress.pixels import encode_mask, encode_png
from medstress.seeds import seed_of
from medstress.specs import SeveritySpec

_ANSWERS = frozenset(
    f"{name}{plural}" for name in ("mask", "label", "segmentation", "annotation") for plural in ("", "s")
)
"""Names of folders that hold what is known of images, as data sets call them, in lower case."""


@dataclass(frozen=True)
class FolderJob:
    """What is done to a folder. window: intensities shown as 0 and 255, for files with more than 8 bits."""

    source: Path
    out: Path
    modality: Modality
    types: tuple[str, ...]
    levels: tuple[int, ...]
    severity: SeveritySpec
    seed: int = 0
    window: tuple[float, float] | None = None
    force: bool = False


@dataclass(frozen=True)
class _Unit:
    """One type of one image: the levels that are still to be made, and the key of everything they depend on."""

    name: str
    key: str
    levels: tuple[int, ...]


@dataclass(frozen=True)
class _Task:
    """One image, and what is still to be made of it."""

    image_id: str
    path: Path
    layer: int | None
    units: tuple[_Unit, ...]


@dataclass(frozen=True)
class Outcome:
    """manifest: the written file. made and found: units (image and type) of this run and of earlier ones.

    left_out: folders below the source that were not looked into, since their names say that they hold masks or labels.
    """

    manifest: Path
    made: int
    found: int
    statuses: dict[str, int]
    rejects: tuple[str, ...]
    left_out: tuple[Path, ...] = ()


def perturb_folder(job: FolderJob, *, workers: int = 1, progress: bool = True) -> Outcome:
    """Write the perturbed images and the manifest; what an earlier run made of the same files is kept.

    The bytes do not depend on `workers` nor on interruptions; a draw depends on (seed, image id, type). Images that
    cannot be read are named in `rejects` and left out, and so are folders that are called masks, labels, segmentations
    or annotations. Raises MedstressError where the folder holds no image, two images have one name, or a type or level
    does not fit.
    """
    kinds = _checked_kinds(job)
    images, left_out = _images(job)
    code = {name: fingerprint("medstress.perturb.levels", _module_of(kind)) for name, kind in kinds.items()}
    job.out.mkdir(parents=True, exist_ok=True)
    rejects: list[str] = []
    made = 0
    with Ledger(job.out) as ledger, tqdm(total=len(images), unit="image", disable=None if progress else True) as bar:
        tasks = _tasks(job, images, code, ledger, rejects, bar.update)
        for task, result in in_order(partial(_make, job), tasks, workers):
            if isinstance(result, str):
                rejects.append(result)
            else:
                for unit, cells in zip(task.units, result, strict=True):
                    ledger.add(unit.name, task.image_id, unit.key, cells)
                made += len(result)
            bar.update()
        manifest = ledger.write_manifest()
        found = len(images) * len(job.types) - made - len(rejects) * len(job.types)
        return Outcome(manifest, made, found, ledger.counts(), tuple(rejects), left_out)


def _checked_kinds(job: FolderJob) -> dict[str, Perturbation | Published]:
    kinds: dict[str, Perturbation | Published] = {}
    problems = []
    for name in job.types:
        try:
            kinds[name] = type_of(name, job.severity)
            if not job.force:
                require_fit(kinds[name], job.modality, "this folder")
        except MedstressError as error:
            hint = " (--force makes it all the same)" if name in kinds else ""
            problems.append(f"{error}{hint}")
            continue
        count = level_count(kinds[name])
        if wrong := [level for level in job.levels if not 1 <= level <= count]:
            problems.append(f"{name} has levels 1 to {count}, not {', '.join(map(str, wrong))}")
    if problems:
        raise MedstressError("\n".join(dict.fromkeys(problems)))
    return kinds


def _module_of(kind: Perturbation | Published) -> str:
    realise = kind.realise
    return str((realise.func if isinstance(realise, partial) else realise).__module__)


def _images(job: FolderJob) -> tuple[list[tuple[str, Path, int | None]], tuple[Path, ...]]:
    """Every image below the folder by its id, the path without the extension, with the slice of a volume.

    And the folders of masks and labels, which are left out.
    """
    if not job.source.is_dir():
        raise MedstressError(f"{job.source}: no such folder")
    inside = job.out.resolve()
    if job.source.resolve().is_relative_to(inside):
        raise MedstressError(f"{job.out} holds the images themselves: name another folder for the perturbed ones")
    by_id: dict[str, list[Path]] = {}
    images: list[tuple[str, Path, int | None]] = []
    left_out: set[Path] = set()
    for path in sorted(job.source.rglob("*")):
        below = path.relative_to(job.source)
        hidden = any(part.startswith(".") for part in below.parts)
        if hidden or path.resolve().is_relative_to(inside) or not is_picture(path):
            continue
        answers = next((folder for folder in reversed(below.parents) if folder.name.lower() in _ANSWERS), None)
        if answers is not None:
            left_out.add(job.source / answers)
            continue
        image_id = (below.parent / stem_of(path)).as_posix()
        grid = grid_of(path)
        layers = [None] if grid is None else list(range(grid.shape[2]))
        found = [(image_id if z is None else f"{image_id}_z{z:03d}", path, z) for z in layers]
        for name, _, _ in found:
            by_id.setdefault(name, []).append(path)
        images += found
    if twice := [f"{', '.join(map(str, paths))}" for paths in by_id.values() if len(paths) > 1]:
        raise MedstressError("images with one name would overwrite each other: " + "; ".join(twice))
    if not images:
        besides = f" besides {', '.join(map(str, sorted(left_out)))}, which to perturb name as IN" if left_out else ""
        raise MedstressError(
            f"{job.source}: no image found{besides}. PNG, JPEG, TIFF, NPY, DICOM and NIfTI files can be read."
        )
    return sorted(images), tuple(sorted(left_out))


def _tasks(
    job: FolderJob,
    images: Iterable[tuple[str, Path, int | None]],
    code: dict[str, str],
    ledger: Ledger,
    rejects: list[str],
    skipped: Callable[[], object],
) -> Iterator[_Task]:
    # Without the levels: a level's image does not depend on which others are asked for.
    settings = repr((job.modality, job.seed, job.window, job.severity.model_dump_json()))
    for image_id, path, layer in images:
        try:
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            rejects.append(f"{path}: {error.strerror}")
            skipped()
            continue
        keys = [(name, content_key(digest, str(layer), settings, name, code[name])) for name in job.types]
        units = [_Unit(name, key, _left(job, ledger.begin(name, image_id, key))) for name, key in keys]
        if missing := tuple(unit for unit in units if unit.levels):
            yield _Task(image_id, path, layer, missing)
        else:
            skipped()


def _left(job: FolderJob, done: set[int]) -> tuple[int, ...]:
    return tuple(level for level in job.levels if level not in done)


def _scene(job: FolderJob, task: _Task) -> Scene:
    picture = read_picture(task.path, task.layer)
    where = str(task.path)
    if picture.values.dtype == np.uint8:
        return checked_scene(_upright(picture, (0, 255)), modality=job.modality, where=where)
    window = job.window
    if window is None and picture.window is not None:
        window = picture.window.low, picture.window.high
    if window is None:
        raise MedstressError(
            f"{where}: {picture.values.dtype} needs a declared window: give --window LOW,HIGH, the intensities shown "
            "as black and white"
        )
    values = _upright(picture, window) if picture.inverted else picture.values
    return checked_scene(values, modality=job.modality, window=window, where=where)


def _upright(picture: Picture, window: tuple[float, float]) -> Values:
    """The values with high ones bright, mirrored in the middle of the window where they are stored the other way."""
    return sum(window) - picture.values if picture.inverted else picture.values


def _make(job: FolderJob, task: _Task) -> list[list[StoredCell]] | str:
    """The cells of each type of a task, files written; or why the image cannot be used."""
    try:
        scene = _scene(job, task)
    except (BadSampleError, MedstressError) as error:
        return str(error)
    return [_cells(job, task.image_id, scene, unit) for unit in task.units]


def _cells(job: FolderJob, image_id: str, scene: Scene, unit: _Unit) -> list[StoredCell]:
    name, seed = unit.name, seed_of("folder", str(job.seed), image_id, unit.name)
    height, width = scene.image.shape[:2]
    cells = []
    for made in make_levels(type_of(name, job.severity), scene, unit.levels, seed, job.severity):
        cell, warp = made.cell, made.warp
        file = f"{name}/{cell.level}/{image_id}.png"
        _write(job.out / file, encode_png(cell.image))
        cells.append(
            StoredCell(
                image_id=image_id,
                perturbation=name,
                level=cell.level,
                file=file,
                strength=cell.strength,
                ssim=cell.ssim,
                band_low=None if made.band is None else made.band[0],
                band_high=None if made.band is None else made.band[1],
                seed=seed,
                status=cell.status,
                valid=None if warp is None else encode_mask(valid_pixels(height, width, warp)),
                warp=warp,
            )
        )
    return cells


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        staged.write_bytes(data)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
