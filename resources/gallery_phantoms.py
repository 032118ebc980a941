"""Invented pictures for the modalities of which no real image can be shipped: dermoscopy, endoscopy, OCT.

    python resources/gallery_phantoms.py [--out resources/gallery]

They are drawn from formulas and a seed, from no real image, and their names say synthetic. They show what the
artefacts of their modality act on (a pigmented lesion, a lumen, retinal layers), and nothing more.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from cut_embedded import write_png
from phantoms import Field, texture
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

from medstress.pixels import Image, to_uint8
from medstress.seeds import generator, seed_of

SIDE = 256
OCT_WIDTH = 384
Points = npt.NDArray[np.float64]


def grid(height: int, width: int) -> tuple[Field, Field]:
    """Rows and columns of all pixels."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return rows, columns


def step(distance: Field, softness: float) -> Field:
    """0 far below zero, 1 far above, smooth between."""
    return np.asarray(1 / (1 + np.exp(np.clip(-distance / softness, -40, 40))), dtype=np.float32)


def mesh(rng: np.random.Generator, height: int, width: int, spacing: float) -> Field:
    """How near each pixel lies to the cords of a honeycomb, 1 on a cord and 0 in a hole."""
    lines = [
        [(row, column + spacing / 2 * (index % 2)) for column in np.arange(-spacing, width + spacing, spacing)]
        for index, row in enumerate(np.arange(-spacing, height + spacing, spacing * 0.87))
    ]
    centres = np.array([point for line in lines for point in line])
    centres += rng.normal(0, spacing * 0.17, centres.shape)
    rows, columns = grid(height, width)
    distances, _ = cKDTree(centres).query(np.stack([rows.ravel(), columns.ravel()], axis=1), k=2)
    gap = (distances[:, 1] - distances[:, 0]).reshape(height, width) / spacing
    return np.asarray(np.exp(-((gap / 0.22) ** 2)), dtype=np.float32)


def dermoscopy(rng: np.random.Generator) -> Image:
    """Pale skin with a pigmented lesion: uneven border, brown network, darker blotches and globules. RGB."""
    rows, columns = grid(SIDE, SIDE)
    y, x = rows - 130, columns - 124
    angle, radius = np.arctan2(y, x), np.hypot(x, y * 1.12)
    border = np.full_like(angle, 74)
    for lobes in range(2, 9):
        border += 11 / lobes * rng.standard_normal() * np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
    border += 4 * texture(rng, SIDE, SIDE, 14)
    inside = step(border - radius, 4.0)
    skin = np.array([224, 178, 158], np.float32) * (1 + 0.018 * texture(rng, SIDE, SIDE, 60))[..., None]
    skin += 2.2 * texture(rng, SIDE, SIDE, 3)[..., None]
    skin -= 5 * (mesh(rng, SIDE, SIDE, 17) * (0.6 + 0.4 * texture(rng, SIDE, SIDE, 25)))[..., None]
    redness = np.clip(texture(rng, SIDE, SIDE, 45), 0, 2)[..., None]
    skin -= redness * np.array([0, 7, 6], np.float32)
    pigment = 0.34 + 0.12 * texture(rng, SIDE, SIDE, 40) + 0.25 * step(34 - np.hypot(x + 16, y - 12), 14)
    network = gaussian_filter(mesh(rng, SIDE, SIDE, 7.5), 0.8)
    pigment += 0.39 * network * step(radius - 26, 9) * (0.8 + 0.3 * texture(rng, SIDE, SIDE, 30))
    for _ in range(26):
        place, turn = rng.uniform(0.45, 0.92), rng.uniform(0, 2 * np.pi)
        centre = 124 + place * 70 * np.cos(turn), 130 + place * 62 * np.sin(turn)
        pigment += 0.4 * step(rng.uniform(1.5, 3.2) - np.hypot(columns - centre[0], rows - centre[1]), 0.6)
    # Melanin absorbs blue most.
    depth = (np.clip(pigment, 0, 1.2) * inside)[..., None] * np.array([0.95, 1.55, 1.95], np.float32)
    lit = 1 - 0.16 * (np.hypot(rows - 128, columns - 128) / 180) ** 2
    return to_uint8(np.asarray(skin * np.exp(-depth) * lit[..., None], dtype=np.float32))


def vessel_tree(rng: np.random.Generator, height: int, width: int, trunks: int) -> Field:
    """Branching vessels that run down the field, 0..1."""
    drawn = np.zeros((height, width), np.uint8)
    growing = [(rng.uniform(0, width), -5.0, np.pi / 2 + rng.normal(0, 0.5), 2.6) for _ in range(trunks)]
    while growing:
        x, y, heading, thickness = growing.pop()
        while thickness > 0.5 and -10 < y < height + 5:
            heading += rng.normal(0, 0.38) + 0.05 * (np.pi / 2 - heading)
            end = x + 6 * np.cos(heading), y + 6 * np.sin(heading)
            shade = int(min(thickness / 2.6, 1) * 160 + 90)
            ends = (round(x * 8), round(y * 8)), (round(end[0] * 8), round(end[1] * 8))
            cv2.line(drawn, *ends, shade, max(1, round(thickness)), cv2.LINE_AA, 3)  # type: ignore[call-overload]
            x, y = end
            thickness *= 0.985
            if rng.random() < 0.09:
                growing.append((x, y, heading + rng.choice((-1, 1)) * rng.uniform(0.4, 0.9), thickness * 0.62))
                thickness *= 0.9
    return np.asarray(gaussian_filter(drawn.astype(np.float32) / 255, 0.7), dtype=np.float32)


def endoscopy(rng: np.random.Generator) -> Image:
    """A view down a gut: pink walls, ring folds, vessels, a dark lumen, an octagonal field on black. RGB."""
    rows, columns = grid(SIDE, SIDE)
    x, y = columns - 140, rows - 118
    angle = np.arctan2(y, x)
    shape = 1 + 0.12 * np.cos(3 * angle + 0.7) + 0.07 * np.cos(2 * angle - 1.1)
    radius = np.maximum(np.hypot(x, y) / shape, 2)
    # What lies at depth d down a tube of radius 1 appears at a distance of about 1 / d from its vanishing point.
    depth = 92 / radius
    sway = 0.22 * np.cos(2 * angle + 0.5) + 0.10 * np.cos(4 * angle + 2.0) + 0.12 * texture(rng, SIDE, SIDE, 40)
    phase = (np.log(depth + 0.15) * 1.7 + sway) % 1
    # A fold's face looks back at the light; behind its rim lies shadow.
    rim = np.exp(-(((phase - 0.42) / 0.13) ** 2))
    rim -= 0.8 * np.exp(-((np.maximum(phase - 0.58, 0) / 0.16) ** 2)) * step(phase - 0.56, 0.02)
    light = 1.10 / (1 + 0.42 * depth**1.7) * (1 + 0.30 * rim * np.clip(depth, 0, 1.6))
    light *= 1 + 0.06 * texture(rng, SIDE, SIDE, 22) + 0.02 * texture(rng, SIDE, SIDE, 4)
    sheet = vessel_tree(rng, 200, 720, 9)
    across = ((angle / (2 * np.pi) + 0.5) * 719).astype(np.float32)
    along = np.clip((2.2 - np.log(depth + 0.3) * 1.0) * 62, 0, 199).astype(np.float32)
    vessels = cv2.remap(sheet, across, along, cv2.INTER_LINEAR)
    mucosa = np.array([236, 138, 112], np.float32) + texture(rng, SIDE, SIDE, 35)[..., None] * np.array([4, 9, 8])
    wall = mucosa * (1 - vessels[..., None] * np.array([0.24, 0.52, 0.46]) * 0.7)
    # Light from deep in the tube has met mucosa more often and is redder.
    image = wall * light[..., None] ** np.array([0.8, 1.15, 1.2], np.float32) * step(radius - 13, 4)[..., None]
    image += 1.6 * rng.standard_normal(image.shape)
    across_field, down_field = abs(columns - 127.5), abs(rows - 127.5)
    octagon = np.maximum(np.maximum(across_field, down_field) / 122, (across_field + down_field) / 182)
    return to_uint8(np.asarray(image * (octagon < 1)[..., None], dtype=np.float32))


def oct_scan(rng: np.random.Generator) -> Image:
    """A B-scan of the macula: layers round the foveal pit, speckle, dark vitreous above, choroid below. Grey."""
    rows, _ = grid(SIDE, OCT_WIDTH)
    x = np.arange(OCT_WIDTH, dtype=np.float64) - 190
    pit, wide = np.exp(-((x / 42) ** 2)), np.exp(-((x / 75) ** 2))
    base = 176 + 10 * np.cos(x / 190) - 10 + gaussian_filter1d(rng.normal(0, 4, OCT_WIDTH), 20)
    # Thickness in pixels, from the pigment epithelium upwards: fovea and periphery differ.
    bottom_up = (
        ("epithelium", 5 + 0 * x, 0.95),
        ("interdigitation", 3 + 0 * x, 0.45),
        ("ellipsoid", 3.5 + 1.0 * wide, 0.85),
        ("inner segments", 4 + 1.5 * wide, 0.30),
        ("limiting membrane", 1.6 + 0 * x, 0.50),
        ("outer nuclear", 18 + 9 * wide, 0.20),
        ("outer plexiform", 7 * (1 - 0.85 * pit), 0.52),
        ("inner nuclear", 11 * (1 - 0.97 * pit), 0.27),
        ("inner plexiform", 11 * (1 - 0.97 * pit), 0.52),
        ("ganglion cells", 12 * (1 - 0.97 * pit) * (1 + 0.15 * wide), 0.36),
        ("nerve fibres", (6 + 7 * step(-(x + 40).astype(np.float32), 40)) * (1 - 0.9 * pit), 0.80),
    )
    reflected = np.full((SIDE, OCT_WIDTH), 0.05, np.float32)
    lower = base
    for _, thickness, brightness in bottom_up:
        upper = lower - thickness
        reflected += brightness * (step(rows - upper, 0.7) * step(lower - rows, 0.7))
        lower = upper
    below = np.maximum(rows - base, 0)
    lumens = np.clip(texture(rng, SIDE, OCT_WIDTH, 13) - 0.3, 0, 1.5) * step(below - 6, 2)
    reflected += step(rows - base - 1, 0.8) * np.exp(-below / 42) * (0.55 - 0.20 * lumens)
    reflected *= 1 - 0.06 * texture(rng, 2, OCT_WIDTH, 30)[:1]
    # Speckle: the amplitude of a sum of many echoes, averaged over a few frames and blurred by the beam.
    echoes = sum(rng.standard_exponential((SIDE, OCT_WIDTH)) for _ in range(4)) / 4
    speckled = reflected * gaussian_filter(echoes, (0.5, 0.8))
    shown = np.log1p(9 * speckled) / np.log1p(9 * 1.25) * 235
    return to_uint8(np.asarray(shown, dtype=np.float32))


PHANTOMS: dict[str, tuple[str, Callable[[np.random.Generator], Image]]] = {
    "dermoscopy_synthetic": ("dermoscopy", dermoscopy),
    "endoscopy_synthetic": ("endoscopy", endoscopy),
    "oct_synthetic": ("oct", oct_scan),
}
"""Modality and drawing of each phantom, by file name."""


def phantom(name: str) -> Image:
    """The phantom of that name, uint8 [H, W] or [H, W, 3] RGB."""
    return PHANTOMS[name][1](generator(seed_of("gallery", name)))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Draw the synthetic pictures of the gallery.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "gallery", help="(default: %(default)s)")
    out = parser.parse_args().out
    for name in PHANTOMS:
        write_png(out / f"{name}.png", phantom(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
