"""Mask files of every convention become the same objects."""

from pathlib import Path

import numpy as np
import pytest

from medstress.cards.segmentation import Labels
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.masks import read_masks
from tests.datasets.conftest import disc, picture, save

SHAPE = (40, 50)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a.png", disc().astype(np.uint8)),
        ("a.png", disc().astype(np.uint8) * 255),
        ("a.png", disc().astype(np.uint16) * 65535),
        ("a.png", disc().astype(np.uint16) * 255),
        ("a.png", np.dstack([disc().astype(np.uint8) * 255] * 3)),
        ("a.npy", disc()),
        ("a.npy", disc().astype(np.float32)),
        ("a.npy", disc().astype(np.int64)),
        ("a.jpg", disc().astype(np.uint8) * 255),
    ],
)
def test_a_binary_mask_is_one_object_however_it_is_written(tmp_path: Path, name: str, values: np.ndarray) -> None:
    path = save(tmp_path / name, values)
    content = read_masks([path], None, Labels(names={1: "tumour"}), SHAPE)
    (found,) = content.objects
    np.testing.assert_array_equal(found.mask, disc())
    assert (found.object_id, found.label) == ("1", "tumour")
    assert content.thresholded == ((path,) if name.endswith("jpg") else ())


def test_a_label_map_gives_one_object_a_value(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint16)
    values[2:9, 2:9], values[20:30, 20:30] = 300, 7
    labels = Labels(kind="label_map", names={7: "liver"}, default="other")
    found = read_masks([save(tmp_path / "a.png", values)], None, labels, SHAPE).objects
    assert [(item.object_id, item.label, int(item.mask.sum())) for item in found] == [
        ("7", "liver", 100),
        ("300", "other", 49),
    ]


def test_one_file_an_object_names_objects_by_their_files(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"a_{name}.png", disc(radius=radius)) for name, radius in (("left", 4), ("right", 6))]
    paths.append(save(tmp_path / "a_none.png", np.zeros(SHAPE, np.uint8)))
    found = read_masks(paths, None, Labels(kind="per_object"), SHAPE).objects
    assert [item.object_id for item in found] == ["a_left", "a_right"]


def test_nothing_marked_is_no_object(tmp_path: Path) -> None:
    assert read_masks([save(tmp_path / "a.png", np.zeros(SHAPE, np.uint8))], None, Labels(), SHAPE).objects == ()


@pytest.mark.parametrize(
    ("name", "values", "kind", "reason"),
    [
        ("a.png", disc((30, 50)), "binary", "the mask is 50 x 30 pixels and its image 50 x 40"),
        ("a.png", disc().astype(np.uint8) * 3, "binary", "label_map"),
        ("a.png", picture(shape=(40, 50, 3)), "binary", "colour .*Save it in grey.*labels.kind: label_map"),
        ("a.npy", np.where(disc(), np.nan, 0), "binary", "NaN"),
        ("a.npy", np.where(disc(), -1, 0), "binary", "-1"),
        ("a.npy", np.where(disc(), 1.5, 0), "label_map", "whole numbers"),
        ("a.npy", np.where(disc(), -1, 0), "label_map", "from 0 up"),
        ("a.jpg", disc().astype(np.uint8) * 255, "label_map", "no JPEG, no palette.*Save it in grey"),
    ],
)
def test_a_mask_that_means_nothing_is_refused(
    tmp_path: Path, name: str, values: np.ndarray, kind: str, reason: str
) -> None:
    path = save(tmp_path / name, values)
    with pytest.raises(BadSampleError, match=reason) as caught:
        read_masks([path], None, Labels.model_validate({"kind": kind}), SHAPE)
    assert caught.value.reject.file == str(path)


def test_two_files_for_one_object_are_refused(tmp_path: Path) -> None:
    paths = [save(tmp_path / name, disc()) for name in ("a.png", "a.npy")]
    with pytest.raises(BadSampleError, match="several mask files"):
        read_masks(paths, None, Labels(kind="per_object"), SHAPE)
