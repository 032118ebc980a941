"""Prompt boxes are checked before a model is asked."""

from collections.abc import Sequence

from medstress.errors import MedstressError
from medstress.models.segmentation.sam_preprocess import check_box
from medstress.pixels import Box, Image


def require_boxes(images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> None:
    """Raise MedstressError with every box that is empty or reaches outside its image."""
    problems = []
    for index, (image, group) in enumerate(zip(images, boxes, strict=True)):
        height, width = image.shape[:2]
        said = (check_box(box, height, width) for box in group)
        problems += [f"image {index} of {len(images)}: {problem}." for problem in said if problem]
    if problems:
        raise MedstressError("\n".join(problems))
