"""What tiny_sam is trained on: the train splits of two embedded data sets and phantoms, cropped, bent and degraded."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from phantoms import MIN_PIXELS, Field, Mask, connected, phantom, texture

from medstress.cards.segmentation import SegmentationCard
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.pixels import Box, Image, box_of, decode_mask, decode_png
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec

ROOT = Path(__file__).resolve().parent.parent
TRAINING_SETS = ("brain_anatomy", "nuclei")
"""The only real images with gradients. The lesion data sets are not among them."""
SIDE = 256
PHANTOM_SHARE = 0.6
MOST_OBJECTS = 5
"""Boxes asked for in one training image."""


@dataclass(frozen=True)
class Scene:
    """`image` uint8 [H, W]; `masks` bool [H, W] and `boxes` half-open in its pixels, one an object."""

    name: str
    image: Image
    masks: tuple[Mask, ...]
    boxes: tuple[Box, ...]


def scenes(dataset: str, split: str, root: Path = ROOT) -> list[Scene]:
    """The images of one split of an embedded data set, through the product's own preparation."""
    card = SegmentationCard.model_validate(yaml.safe_load((root / f"config/datasets/{dataset}.yaml").read_text()))
    with tempfile.TemporaryDirectory() as folder:
        images, samples = Path(folder) / "images.parquet", Path(folder) / "samples.parquet"
        prepare_dataset(PrepareSpec(card=card, limit=Limit()), root, images, samples)
        objects = {row.image_id: row.objects for row in read_rows(samples, SampleRow)}
        rows = [row for row in read_rows(images, ImageRow) if row.split == split]
    return [
        Scene(
            f"{dataset}/{row.image_id}",
            np.asarray(decode_png(row.png, where=row.image_id), dtype=np.uint8),
            tuple(decode_mask(item.mask, row.height, row.width) for item in objects[row.image_id]),
            tuple(item.box for item in objects[row.image_id]),
        )
        for row in rows
    ]


def training_scenes(root: Path = ROOT) -> dict[str, list[Scene]]:
    """Every real image that gives gradients, by data set."""
    return {name: scenes(name, "train", root) for name in TRAINING_SETS}


@dataclass(frozen=True)
class Example:
    """One training image as the model sees it: `image` uint8 [H, W] with a longer side of 256; masks likewise."""

    image: Image
    masks: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float32]


def example(real: dict[str, list[Scene]], rng: np.random.Generator) -> Example:
    """One training image with up to MOST_OBJECTS objects and their boxes, jittered."""
    height, width = SIDE, SIDE
    if rng.random() < 0.4:
        height, width = rng.permutation([SIDE, int(rng.integers(SIDE * 5 // 8, SIDE + 1))]).tolist()
    if rng.random() < PHANTOM_SHARE:
        drawn = phantom(rng, height, width)
        image, masks = drawn.image.astype(np.float32) / 255, list(drawn.masks)
    else:
        name = str(rng.choice(list(real)))
        image, masks = _view(real[name][rng.integers(len(real[name]))], rng, height, width)
        if not masks:
            return example(real, rng)
    chosen = [masks[index] for index in rng.permutation(len(masks))[:MOST_OBJECTS]]
    if rng.random() < 0.5:
        image, chosen = image[:, ::-1], [mask[:, ::-1] for mask in chosen]
    if rng.random() < 0.5:
        image, chosen = image[::-1], [mask[::-1] for mask in chosen]
    boxes = np.array([_jittered(box_of(mask), rng, height, width) for mask in chosen], dtype=np.float32)
    return Example(_degraded(image, rng), np.stack(chosen), boxes)


def _view(
    scene: Scene, rng: np.random.Generator, height: int, width: int
) -> tuple[npt.NDArray[np.float32], list[Mask]]:
    """A random crop around an object: zoomed, turned and bent. Masks are those of objects that are mostly inside."""
    x0, y0, x1, y1 = scene.boxes[rng.integers(len(scene.boxes))]
    side = max(scene.image.shape) / rng.uniform(0.8, 2.5)
    zoom, turn = SIDE / side, rng.normal(0, 0.35)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + rng.uniform(-0.3, 0.3, 2) * side
    stretch = np.exp(rng.normal(0, 0.1))
    matrix = np.array([[np.cos(turn) * stretch, -np.sin(turn)], [np.sin(turn), np.cos(turn) / stretch]]) / zoom
    rows, columns = np.indices((height, width), dtype=np.float32)
    bend = rng.uniform(0, 3)
    u = columns - width / 2 + bend * texture(rng, height, width, 40)
    v = rows - height / 2 + bend * texture(rng, height, width, 40)
    map_x = (matrix[0, 0] * u + matrix[0, 1] * v + centre[0] - 0.5).astype(np.float32)
    map_y = (matrix[1, 0] * u + matrix[1, 1] * v + centre[1] - 0.5).astype(np.float32)
    image = cv2.remap(scene.image.astype(np.float32) / 255, map_x, map_y, cv2.INTER_LINEAR)
    masks = []
    for mask in scene.masks:
        moved = cv2.remap(mask.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR) > 0.5
        if moved.sum() >= max(MIN_PIXELS, 0.6 * mask.sum() * zoom**2):
            masks.append(connected(moved))
    return np.asarray(image, dtype=np.float32), masks


def _jittered(box: Box, rng: np.random.Generator, height: int, width: int) -> tuple[float, ...]:
    """The tight box, half of the time with every side moved by some 4 % of the box."""
    if rng.random() < 0.5:
        return box
    x0, y0, x1, y1 = box
    moves = rng.normal(0, 0.04, 4) * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    moved = np.clip(np.array(box) + moves, 0, [width, height, width, height])
    return tuple(moved) if min(moved[2] - moved[0], moved[3] - moved[1]) >= 2 else box


def _degraded(image: Field, rng: np.random.Generator) -> Image:
    """Another contrast, another camera: gamma, inversion, shading, resolution, blur and noise."""
    height, width = image.shape
    low, high = np.sort(rng.uniform(0, 1, 2)) if rng.random() < 0.2 else (0.0, 1.0)
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.3)))
    if high - low > 0.3:
        image = low + (high - low) * image
    if rng.random() < 0.25:
        image = 1 - image
    if rng.random() < 0.3:
        image = image * (1 + rng.uniform(0, 0.25) * texture(rng, height, width, 120))
    if rng.random() < 0.6:
        scale = rng.uniform(0.4, 1)
        small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        small = _noisy(np.asarray(small, dtype=np.float32), rng)
        image = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    else:
        if rng.random() < 0.5:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2)), dtype=np.float32)
        image = _noisy(image, rng)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _noisy(image: Field, rng: np.random.Generator) -> Field:
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.3:
        noise *= np.sqrt(np.clip(image, 0, 1))
    return image + np.float32(rng.exponential(0.025)) * noise
