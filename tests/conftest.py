"""Real images for tests: the embedded data, as it is committed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from medstress.pixels import Image

ROOT = Path(__file__).parent.parent
EMBEDDED = ROOT / "resources" / "embedded"


def embedded_image(dataset: str, index: int = 0) -> Image:
    path = sorted((EMBEDDED / dataset).glob("*.png"))[index]
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None, path
    return np.asarray(image, dtype=np.uint8)


def in_colour(grey: Image) -> Image:
    """A colour image with the structure of a real one in each channel, all different."""
    return np.ascontiguousarray(np.stack([grey, 255 - grey, np.roll(grey, 5, axis=1)], axis=-1))


@pytest.fixture(scope="session")
def real_images() -> dict[str, Image]:
    """One image of each embedded data set, and one in colour."""
    images = {name: embedded_image(name) for name in ("brain_mri_tumour", "lung_ct_tumour", "nuclei", "brain_anatomy")}
    return images | {"colour": in_colour(images["nuclei"])}
