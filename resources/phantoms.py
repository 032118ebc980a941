"""Invented pictures with exact masks: what tiny_sam learns from besides two small real data sets.

Four looks: tissue with lesions inside a bright shell (MRI), dark cavities with vessels and bright masses (CT), glowing
cells on black (fluorescence), and plain shapes on textures. None of them is drawn from a real image.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""float32 [H, W]."""
Mask = npt.NDArray[np.bool_]

MIN_PIXELS = 40
"""A shape of which fewer pixels can be seen is no object."""
MIN_VISIBLE = 0.6
"""A shape of which a smaller share can be seen is no object."""


@dataclass(frozen=True)
class Phantom:
    """`image` uint8 [H, W]; `masks` bool [H, W], one an object, none empty."""

    image: npt.NDArray[np.uint8]
    masks: tuple[Mask, ...]


def texture(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    """Smooth noise of mean 0 and standard deviation 1 whose grains are about `scale` pixels wide."""
    rows, columns = (max(2, round(side / scale) + 2) for side in (height, width))
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    fine = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return (fine - fine.mean()) / (fine.std() + 1e-6)


def blob(rng: np.random.Generator, height: int, width: int, radius: float, centre: tuple[float, float]) -> Mask:
    """One shape: an ellipse, a star-shaped outline, a union of discs, or a thresholded random field."""
    rows, columns = np.indices((height, width), dtype=np.float32)
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.4, 1)
    dy, dx = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / radius
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / (radius * aspect)
    distance = np.hypot(along, across)
    kind = rng.choice(["ellipse", "star", "discs", "field", "crescent"], p=[0.3, 0.25, 0.15, 0.2, 0.1])
    if kind == "star":
        theta, edge = np.arctan2(across, along), np.ones_like(distance)
        for order in range(2, 9):
            edge += rng.normal(0, 0.45 / order) * np.cos(order * theta + rng.uniform(0, 2 * np.pi))
        return distance < np.clip(edge, 0.25, 1.6)
    if kind == "discs":
        inside = distance < 0.6
        for _ in range(rng.integers(1, 5)):
            turn, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.6)
            inside |= np.hypot(along - 0.6 * np.cos(turn), across - 0.6 * np.sin(turn)) < size
        return inside
    if kind == "field":
        grain = texture(rng, height, width, max(radius * rng.uniform(0.35, 0.9), 3))
        return distance + rng.uniform(0.2, 0.5) * grain < 0.9
    if kind == "crescent":
        return (distance < 1) & (np.hypot(along - rng.uniform(0.2, 0.6), across - rng.uniform(0.3, 0.9)) > 0.8)
    return distance < 1


def connected(mask: Mask) -> Mask:
    """The largest connected part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return mask if count < 3 else np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _centre(rng: np.random.Generator, height: int, width: int) -> tuple[float, float]:
    return rng.uniform(0, height), rng.uniform(0, width)


def _vessels(rng: np.random.Generator, image: Field, where: Mask, value: float, count: int) -> None:
    """Thin bending lines, drawn into `image` inside `where`."""
    drawn = np.zeros(image.shape, np.uint8)
    for _ in range(count):
        point, angle = np.array(_centre(rng, *image.shape)), rng.uniform(0, 2 * np.pi)
        line = [point]
        for _ in range(rng.integers(2, 9)):
            angle += rng.normal(0, 0.5)
            line.append(line[-1] + rng.uniform(4, 14) * np.array([np.sin(angle), np.cos(angle)]))
        points = np.array(line)[:, ::-1].round().astype(np.int32)
        cv2.polylines(drawn, [points], False, 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    share = np.where(where, drawn.astype(np.float32) / 255, 0)
    image += share * (value - image)


def _paint(rng: np.random.Generator, image: Field, mask: Mask, value: float) -> None:
    """Fill a shape with a value, its own texture and, at times, a rim or a core of another value."""
    height, width = image.shape
    look = np.full_like(image, value)
    if rng.random() < 0.5:
        look += rng.uniform(0, 0.2) * texture(rng, height, width, rng.uniform(2, 14))
    if rng.random() < 0.25:
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
        core = depth > rng.uniform(0.25, 0.6) * depth.max()
        look[core] += rng.choice([-1, 1]) * rng.uniform(0.05, 0.35)
    soft = mask.astype(np.float32)
    if rng.random() < 0.5:
        soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), rng.uniform(0.4, 1.6)), dtype=np.float32)
    image += soft * (look - image)


Layers = list[tuple[Mask, float]]
"""Shapes with their values, from the lowest to the topmost."""


def _draw(rng: np.random.Generator, image: Field, layers: Layers) -> tuple[Mask, ...]:
    """Paint shapes over each other; returns what can be seen of those that can still be called objects."""
    objects = []
    hidden = np.zeros(image.shape, dtype=bool)
    for mask, value in layers:
        _paint(rng, image, mask, value)
    for mask, _ in reversed(layers):
        seen = connected(mask & ~hidden)
        hidden |= mask
        if seen.sum() >= max(MIN_PIXELS, MIN_VISIBLE * mask.sum()):
            objects.append(seen)
    return tuple(objects)


def _tissue(rng: np.random.Generator, height: int, width: int) -> tuple[Field, tuple[Mask, ...]]:
    """A head cut open: dark outside, a bright shell, folded tissue, vessels, and lesions that may enhance."""
    radius = rng.uniform(0.45, 1.1) * max(height, width)
    centre = height * rng.uniform(0.2, 0.8), width * rng.uniform(0.2, 0.8)
    rows, columns = np.indices((height, width), dtype=np.float32)
    distance = np.hypot(rows - centre[0], (columns - centre[1]) * rng.uniform(0.9, 1.3))
    distance += 4 * texture(rng, height, width, 60)
    base = rng.uniform(0.2, 0.5)
    image = (base + rng.uniform(0, 0.06) * texture(rng, height, width, rng.uniform(12, 40))).astype(np.float32)
    folds = np.abs(texture(rng, height, width, rng.uniform(8, 20))) < rng.uniform(0.1, 0.5)
    image[folds] -= rng.uniform(0, 0.15)
    shell, gap = rng.uniform(4, 18), rng.uniform(0, 8)
    inside = distance < radius - shell - gap
    image[~inside] = rng.uniform(0.02, 0.2)
    image[(distance > radius - shell) & (distance < radius)] = rng.uniform(0.6, 1)
    image[distance > radius] = rng.uniform(0, 0.06)
    _vessels(rng, image, inside, base + rng.uniform(-0.2, 0.4), int(rng.integers(0, 14)))
    layers: Layers = []
    for _ in range(rng.integers(1, 7)):
        value = base + rng.choice([-1, 1, 1]) * rng.uniform(0.06, 0.5)
        mask = blob(rng, height, width, rng.uniform(7, 38), _centre(rng, height, width)) & inside
        layers.append((mask, value))
    return image, _draw(rng, image, layers)


def _cavity(rng: np.random.Generator, height: int, width: int) -> tuple[Field, tuple[Mask, ...]]:
    """Dark cavities with vessels in bright flesh, and bright masses in them, free or against the wall."""
    flesh, dark = rng.uniform(0.7, 1), rng.uniform(0.1, 0.4)
    image = (flesh + rng.uniform(0, 0.04) * texture(rng, height, width, rng.uniform(6, 30))).astype(np.float32)
    for _ in range(rng.integers(0, 5)):
        mask = blob(rng, height, width, rng.uniform(8, 30), _centre(rng, height, width))
        _paint(rng, image, mask, flesh + rng.uniform(-0.12, 0.1))
    cavity = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(1, 3)):
        cavity |= blob(rng, height, width, rng.uniform(45, 110), _centre(rng, height, width))
    lung = dark + rng.uniform(0, 0.04) * texture(rng, height, width, rng.uniform(3, 20))
    image[cavity] = lung[cavity]
    _vessels(rng, image, cavity, flesh - rng.uniform(0, 0.3), int(rng.integers(2, 30)))
    layers: Layers = []
    places = np.argwhere(cavity)
    for _ in range(rng.integers(1, 6)):
        centre = places[rng.integers(len(places))] if len(places) else _centre(rng, height, width)
        mask = blob(rng, height, width, rng.uniform(6, 40), (float(centre[0]), float(centre[1])))
        if rng.random() < 0.6:
            mask &= cavity
        layers.append((mask, flesh + rng.uniform(-0.2, 0.05)))
    return image, _draw(rng, image, layers)


def _cells(rng: np.random.Generator, height: int, width: int) -> tuple[Field, tuple[Mask, ...]]:
    """Glowing cells on black: few bright ones, many dim ones, some touching, some out of focus."""
    image = np.full((height, width), rng.uniform(0.02, 0.15), dtype=np.float32)
    size = rng.uniform(9, 30)
    for _ in range(rng.integers(0, 4)):
        far = blob(rng, height, width, size, _centre(rng, height, width)).astype(np.float32)
        image += rng.uniform(0.02, 0.2) * cv2.GaussianBlur(far, (0, 0), rng.uniform(5, 12))
    typical = rng.uniform(0.12, 0.6)
    layers: Layers = []
    for _ in range(rng.integers(3, 18)):
        mask = blob(rng, height, width, size * rng.uniform(0.6, 1.3), _centre(rng, height, width))
        bright = rng.random() < 0.2
        layers.append((mask, rng.uniform(0.6, 1) if bright else typical * rng.uniform(0.7, 1.3)))
    return image, _draw(rng, image, layers)


def _shapes(rng: np.random.Generator, height: int, width: int) -> tuple[Field, tuple[Mask, ...]]:
    """Shapes of any value on a texture of any grain."""
    base = rng.uniform(0.1, 0.9)
    image = np.full((height, width), base, dtype=np.float32)
    for scale in (rng.uniform(3, 12), rng.uniform(15, 60)):
        image += rng.uniform(0, 0.1) * texture(rng, height, width, scale)
    layers: Layers = []
    for _ in range(rng.integers(2, 10)):
        step = rng.choice([-1, 1]) * rng.uniform(0.08, 0.6)
        value = base + step if 0 <= base + step <= 1 else base - step
        layers.append((blob(rng, height, width, rng.uniform(7, 60), _centre(rng, height, width)), value))
    return image, _draw(rng, image, layers)


LOOKS: dict[str, Callable[[np.random.Generator, int, int], tuple[Field, tuple[Mask, ...]]]] = {
    "tissue": _tissue,
    "cavity": _cavity,
    "cells": _cells,
    "shapes": _shapes,
}


def phantom(rng: np.random.Generator, height: int, width: int) -> Phantom:
    """One picture of a look drawn at random, with at least one object."""
    while True:
        image, masks = LOOKS[str(rng.choice(list(LOOKS)))](rng, height, width)
        if masks:
            pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
            return Phantom(pixels, masks)
