"""Every type gives the same bytes, whatever the number of workers, the order, or what else is in the folder."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from medstress import list_perturbations
from medstress.imagefolder.perturb import FolderJob, perturb_folder
from medstress.specs import SeveritySpec
from tests.conftest import embedded_image, in_colour

LEVELS = (1, 3, 5)


def picture(index: int) -> np.ndarray:
    grey = np.ascontiguousarray(embedded_image("brain_anatomy", index)[40:130, 30:110])
    return in_colour(grey) if index % 2 else grey


def hashes(source: Path, out: Path, names: list[str], severity: SeveritySpec, workers: int) -> dict[str, str]:
    levels = LEVELS if severity.scale != "sure_vqa" else (1, 2, 3)
    job = FolderJob(source, out, "mri", tuple(names), levels, severity, force=True)
    outcome = perturb_folder(job, workers=workers, progress=False)
    assert not outcome.rejects
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.rglob("*.png"))
    }


@pytest.mark.parametrize(
    "severity",
    [SeveritySpec(), SeveritySpec(scale="imagecorruptions", compat=True), SeveritySpec(scale="sure_vqa")],
    ids=lambda severity: severity.scale,
)
def test_every_type_gives_the_same_bytes(tmp_path, severity):
    names = list_perturbations(scale=severity.scale)
    few, more = tmp_path / "few", tmp_path / "more"
    for folder, members in ((few, ["b", "c"]), (more, ["a", "b", "c"])):
        folder.mkdir()
        for name in members:
            cv2.imwrite(str(folder / f"{name}.png"), picture("abc".index(name)))
    alone = hashes(few, tmp_path / "one", names, severity, 1)
    assert len(alone) == 2 * len(names) * len(LEVELS)
    together = hashes(more, tmp_path / "two", names[::-1], severity, 2)
    assert alone == {name: value for name, value in together.items() if not name.endswith("/a.png")}
