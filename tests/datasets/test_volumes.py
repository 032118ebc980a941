"""NIfTI volumes: slices, where they lie, and how often their files are decompressed."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medstress.datasets import nifti
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.formats import read_picture
from medstress.errors import MedstressError
from tests.datasets.conftest import Project, save_volume


def test_a_volume_becomes_slices_of_one_group_and_empty_slices_are_left_out(project: Project) -> None:
    volume = np.random.default_rng(0).normal(size=(30, 20, 12)).astype(np.float32)
    mask = np.zeros((30, 20, 12), np.uint8)
    mask[5:9, 5:9, 3], mask[5:9, 5:9, 10] = 1, 1
    save_volume(project.root / "images" / "scan.nii.gz", volume)
    save_volume(project.root / "masks" / "scan.nii.gz", mask)
    card = project.card(window={"low": -3, "high": 3})
    summary, images, samples = project.prepare(card)
    assert [row.image_id for row in images] == ["scan#z003", "scan#z010"]
    assert {row.group_id for row in images} == {"scan"}
    assert (images[0].height, images[0].width) == (20, 30)
    assert samples[0].objects[0].box == (30 - 9, 20 - 9, 30 - 5, 20 - 5)
    assert summary.empty_slices == 10
    # A limit looks past empty slices for ones that can be used.
    assert [row.image_id for row in project.prepare(card, images=2)[1]] == ["scan#z003", "scan#z010"]


def test_a_volume_with_no_object_or_with_another_depth_is_a_bad_sample(project: Project) -> None:
    for name, depth, marked in (("good", 3, 1), ("bare", 3, 0), ("short", 2, 1)):
        save_volume(project.root / "images" / f"{name}.nii", np.zeros((30, 20, 3), np.uint8))
        save_volume(project.root / "masks" / f"{name}.nii", np.full((30, 20, depth), marked, np.uint8))
    summary, images, _ = project.prepare(project.card(tolerate_rejects=2))
    assert len(images) == 3
    reasons = {Path(reject.file).name: reject.reason for reject in summary.rejects}
    assert reasons == {
        "bare.nii": "empty mask.",
        "short.nii": "size mismatch: the mask has 2 slices and its image 3.",
    }


TURNED = np.diag([-1.0, -1, 1, 1]) + np.array([[0, 0, 0, 29], [0, 0, 0, 19], [0] * 4, [0] * 4])


def one_volume(project: Project, affine: np.ndarray, mask: np.ndarray) -> None:
    scan = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    save_volume(project.root / "images" / "scan.nii.gz", scan)
    save_volume(project.root / "masks" / "scan.nii.gz", mask, affine)


def corner() -> np.ndarray:
    mask = np.zeros((30, 20, 3), np.uint8)
    mask[2:9, 1:9] = 1
    return mask


@pytest.mark.parametrize(
    ("affine", "apart"),
    [
        (np.diag([2.0, 2, 2, 1]), "34.7"),  # 29, 19 and 2 mm at the last voxel
        (np.diag([-1.0, 1, 1, 1]), "29"),
        (np.eye(4) + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 5], [0, 0, 0, 0]]), "5"),
        (np.eye(4) + np.array([[0, 0, 0, 0.01], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), "0.01"),
    ],
)
def test_a_mask_that_lies_elsewhere_than_its_image_is_refused(project: Project, affine: np.ndarray, apart: str) -> None:
    one_volume(project, affine, corner())
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.card())
    (line,) = str(caught.value).splitlines()[1:]
    assert "masks/scan.nii.gz: the affine of the mask is not that of its image" in line
    assert f"up to {apart} mm apart. Resample the mask to the image; or" in line
    assert "save it with the image's affine." in line


def test_a_mask_stored_the_other_way_round_is_turned_to_its_image(project: Project) -> None:
    one_volume(project, np.eye(4), corner())
    straight = project.prepare(project.card())[2]
    one_volume(project, TURNED + np.full((4, 4), 1e-4) * (np.arange(4) < 3)[:, None], corner()[::-1, ::-1])
    assert project.prepare(project.card())[2] == straight


def damage(path: Path) -> None:
    """Make a file unreadable in a way that its size and time do not show."""
    state = path.stat()
    path.write_bytes(b"\0" * state.st_size)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def many_volumes(folder: Path, count: int) -> dict[Path, np.ndarray]:
    noise = np.random.default_rng(1)
    volumes = [noise.integers(-1000, 1000, (16, 12, 5), dtype=np.int16) for _ in range(count)]
    return {save_volume(folder / f"v{index}.nii.gz", values): values for index, values in enumerate(volumes)}


def shown(volume: np.ndarray, layer: int) -> np.ndarray:
    return volume[::-1, ::-1, layer].T


def test_volumes_that_are_read_in_turn_are_decompressed_once(tmp_path: Path) -> None:
    volumes = many_volumes(tmp_path, 9)
    for path in volumes:
        read_picture(path, 0)
        damage(path)
    for layer in range(5):
        for path, values in volumes.items():
            np.testing.assert_array_equal(read_picture(path, layer).values, shown(values, layer))


def test_memory_for_volumes_is_bounded_and_the_one_used_last_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = many_volumes(tmp_path, 6)
    monkeypatch.setattr(nifti, "KEPT_BYTES", 4000)  # about two of these
    for path in volumes:
        read_picture(path, 0)
    for path in volumes:
        damage(path)
    first, *_, last = volumes
    np.testing.assert_array_equal(read_picture(last, 4).values, shown(volumes[last], 4))
    with pytest.raises(BadSampleError, match="unreadable"):
        read_picture(first, 1)


def test_a_corrected_volume_is_read_again(tmp_path: Path) -> None:
    ((path, values),) = many_volumes(tmp_path, 1).items()
    read_picture(path, 0)
    save_volume(path, values + 1)
    os.utime(path, ns=(0, 0))
    np.testing.assert_array_equal(read_picture(path, 0).values, shown(values, 0) + 1)


@pytest.mark.parametrize("stored", [np.uint8, np.dtype(">i2"), np.float32])
def test_values_come_with_the_scale_of_the_header_as_nibabel_has_them(tmp_path: Path, stored: np.dtype) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(stored)
    values = np.random.default_rng(2).uniform(-3, 9, (16, 12, 2))
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4), header), path)
    wanted = np.asanyarray(nibabel.load(path).dataobj)
    read = read_picture(path, 1).values
    np.testing.assert_array_equal(read, shown(wanted, 1))
    assert read.dtype == wanted.dtype


def test_complex_values_are_refused(tmp_path: Path) -> None:
    path = save_volume(tmp_path / "a.nii", np.zeros((9, 9, 3), np.complex64))
    with pytest.raises(BadSampleError, match=r"complex64\. Save whole or real numbers"):
        read_picture(path, 0)
