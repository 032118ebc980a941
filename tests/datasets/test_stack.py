"""NPY files that hold a whole data set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medstress.errors import MedstressError
from tests.datasets.conftest import Project, disc, picture, save


def stack(**changes: Any) -> dict[str, Any]:
    return {"format": "npy_stack", "images": "images.npy", "masks": "masks.npy"} | changes


def test_grey_images_and_one_mask_each(project: Project) -> None:
    save(project.root / "images.npy", np.stack([picture(number) for number in range(3)]))
    save(project.root / "masks.npy", np.stack([disc(radius=4 + number) for number in range(3)]))
    _, images, samples = project.prepare(project.card(source=stack()))
    assert [row.image_id for row in images] == ["00000", "00001", "00002"]
    assert [row.objects[0].box for row in samples] == [(26, 16, 35, 25), (25, 15, 36, 26), (24, 14, 37, 27)]


def test_channels_may_be_one_object_each(project: Project) -> None:
    save(project.root / "images.npy", np.stack([picture()]))
    masks = np.stack([disc(), np.zeros_like(disc()), disc(radius=3)], axis=-1)[None]
    save(project.root / "masks.npy", masks.astype(np.uint8))
    _, _, samples = project.prepare(project.card(source=stack(channels={2: "core", 0: "whole", 1: "rim"})))
    assert [(item.object_id, item.label) for item in samples[0].objects] == [("0", "whole"), ("2", "core")]


def test_one_file_an_image_is_a_folder(project: Project) -> None:
    """The "single" layout of published benchmarks: floats from 0 to 1 in three equal channels, label maps as masks."""
    for number in range(2):
        grey = picture(number).astype(np.float32) / 255
        save(project.root / "images" / f"CT_{number}.npy", np.repeat(grey[..., None], 3, axis=2))
        save(project.root / "masks" / f"CT_{number}.npy", disc().astype(np.uint8) * 4)
    card = project.card(labels={"kind": "label_map", "names": {4: "pancreas"}}, window={"low": 0, "high": 1})
    _, _, samples = project.prepare(card)
    assert [item.label for row in samples for item in row.objects] == ["pancreas"] * 2


@pytest.mark.parametrize(
    ("images", "masks", "changes", "reason"),
    [
        ((3, 40, 50), (2, 40, 50), {}, r"holds 3 images, but .*masks.npy holds 2 masks"),
        ((40, 50), (1, 40, 50), {}, r"images.npy: has the shape \(40, 50\). A stack is"),
        ((1, 40, 50), (1, 40, 50, 2), {}, "so name them in `source.channels`"),
        ((1, 40, 50), (1, 40, 50), {"channels": {0: "a"}}, "so leave `source.channels` out"),
        ((1, 40, 50), (1, 40, 50, 2), {"channels": {2: "a"}}, "goes up to 2, but"),
        ((1, 40, 50), (1, 41, 50), {}, "size mismatch: the mask is 50 x 41 pixels and its image 50 x 40"),
    ],
)
def test_stacks_that_do_not_fit(
    project: Project, images: tuple[int, ...], masks: tuple[int, ...], changes: dict[str, Any], reason: str
) -> None:
    save(project.root / "images.npy", np.ones(images, np.uint8))
    save(project.root / "masks.npy", np.ones(masks, np.uint8))
    with pytest.raises(MedstressError, match=reason):
        project.prepare(project.card(source=stack(**changes)))
    assert project.wrote_nothing()


def test_files_that_hold_no_stack_are_named_together(project: Project, tmp_path: Path) -> None:
    (project.root / "images.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.card(source=stack()))
    assert "images.npy: cannot be read as an NPY file" in str(caught.value)
    assert "masks.npy: no such file. Check `source.masks` in the card" in str(caught.value)


def test_a_stack_cannot_say_who_is_who(project: Project) -> None:
    save(project.root / "images.npy", np.stack([picture()]))
    save(project.root / "masks.npy", np.stack([disc()]))
    with pytest.raises(MedstressError, match=r"A stack says nothing about its images: .*the patient of each"):
        project.prepare(project.card(source=stack(), split={"unit": "patient", "test": 1, "val": 0}))


def test_images_with_nothing_in_them_are_bad_unless_the_card_expects_them(project: Project) -> None:
    save(project.root / "images.npy", np.stack([picture(), picture(1)]))
    save(project.root / "masks.npy", np.stack([disc(), np.zeros_like(disc())]))
    with pytest.raises(MedstressError, match="empty mask"):
        project.prepare(project.card(source=stack()))
    summary, images, _ = project.prepare(project.card(source=stack(), labels={"may_be_empty": True}))
    assert [row.image_id for row in images] == ["00000"]
    assert "images left out, with no object: 1" in list(summary.lines())
