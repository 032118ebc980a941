"""Volumes as rows of slices."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from medstress.datasets.candidate import BadSampleError, Candidate, Found, Reject
from medstress.datasets.formats import grid_of
from medstress.datasets.nifti import Grid

AFFINE_TOLERANCE = 1e-3
"""How far the affines of image and mask may differ, in mm: what rounding in headers leaves."""


def slices_of(candidate: Candidate) -> list[Candidate]:
    """The axial slices of a candidate, with `#z012` after their ids and one group; a picture is its own only slice.

    Raises BadSampleError where image and mask have different numbers of slices or lie elsewhere, or a file is missing.
    """
    grid = grid_of(candidate.image)
    depth = _depth(grid)
    for mask in candidate.masks:
        found = grid_of(mask)
        if _depth(found) != depth:
            raise BadSampleError(mask, f"size mismatch: the mask has {_depth(found)} slices and its image {depth}.")
        if grid and found and not np.allclose(found.affine, grid.affine, atol=AFFINE_TOLERANCE):
            raise BadSampleError(mask, _elsewhere(grid, found))
    if depth == 1:
        return [candidate]
    if candidate.boxes or candidate.raw:
        raise BadSampleError(candidate.where, "boxes and raw files are for pictures; this is a volume.")
    digits = max(3, len(str(depth - 1)))
    return [
        replace(
            candidate,
            image_id=f"{candidate.image_id}#z{layer:0{digits}d}",
            where=f"{candidate.where} (slice {layer})",
            layer=layer,
            layers=depth,
        )
        for layer in range(depth)
    ]


def _depth(grid: Grid | None) -> int:
    return grid.shape[2] if grid else 1


def _elsewhere(image: Grid, mask: Grid) -> str:
    corners = np.array([*product(*((0, length - 1) for length in image.shape))])
    moved = mask.affine - image.affine
    apart = np.linalg.norm(corners @ moved[:3, :3].T + moved[:3, 3], axis=1)
    return (
        f"the affine of the mask is not that of its image: their voxels lie up to {apart.max():.3g} mm apart. Resample "
        "the mask to the image; or, if its voxels belong to those of the image one by one, save it with the image's "
        "affine."
    )


def found_of(candidates: Iterable[Candidate], rejects: Iterable[Reject], *, grouped: bool) -> Found:
    """Candidates cut into slices and sorted by id; those whose id is taken become rejects."""
    kept: dict[str, Candidate] = {}
    refused = list(rejects)
    for candidate in sorted(candidates, key=lambda item: (item.image_id, item.where)):
        if first := kept.get(candidate.image_id):
            reason = f"duplicate id {candidate.image_id!r}, which is also that of {first.where}. Keep or rename one."
            refused.append(Reject(candidate.where, reason))
            continue
        kept[candidate.image_id] = candidate
    slices: list[Candidate] = []
    for candidate in kept.values():
        try:
            slices.extend(slices_of(candidate))
        except BadSampleError as error:
            refused.append(error.reject)
    return Found(tuple(sorted(slices, key=lambda item: item.image_id)), tuple(refused), grouped)
