"""Volumes as rows of slices."""

from collections.abc import Iterable
from dataclasses import replace

from medstress.datasets.candidate import BadSampleError, Candidate, Found, Reject
from medstress.datasets.formats import layers_of


def slices_of(candidate: Candidate) -> list[Candidate]:
    """The axial slices of a candidate, with `#z012` after their ids and one group; a picture is its own only slice.

    Raises BadSampleError where image and mask have different numbers of slices, or a file is missing.
    """
    depth = layers_of(candidate.image) or 1
    for mask in candidate.masks:
        if (found := layers_of(mask) or 1) != depth:
            raise BadSampleError(mask, f"size mismatch: the mask has {found} slices and its image {depth}.")
    if depth == 1:
        return [candidate]
    if candidate.box or candidate.raw:
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


def found_of(candidates: Iterable[Candidate], rejects: Iterable[Reject]) -> Found:
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
    return Found(tuple(sorted(slices, key=lambda item: item.image_id)), tuple(refused))
