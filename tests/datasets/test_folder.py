"""A user's folders: names, suffixes, groups, volumes."""

import pytest

from medstress.errors import MedstressError
from tests.datasets.conftest import Project, disc, picture, save


def folder(**changes: str) -> dict[str, str]:
    return {"format": "folder", "images": "images", "masks": "masks"} | changes


def test_ids_are_relative_paths_in_order_and_masks_are_matched_by_suffix(project: Project) -> None:
    for index, name in enumerate(("b/2", "b/10", "a/z", "c")):
        save(project.root / "images" / f"{name}.png", picture(index))
        save(project.root / "masks" / f"{name}_Segmentation.png", disc(radius=4 + index))
    (project.root / "images" / "readme.txt").write_text("not an image")
    summary, images, samples = project.prepare(project.card(source=folder(mask_suffix="_Segmentation")))
    assert [row.image_id for row in images] == ["a/z", "b/10", "b/2", "c"]
    assert [row.sample_id for row in samples] == ["a/z", "b/10", "b/2", "c"]
    assert [row.group_id for row in images] == ["a/z", "b/10", "b/2", "c"]
    assert summary.splits["test"].images == 4


def test_images_and_masks_may_share_a_folder(project: Project) -> None:
    for name in ("a", "b"):
        save(project.root / "images" / f"{name}.jpg", picture())
        save(project.root / "images" / f"{name}_mask.png", disc())
    _, images, _ = project.prepare(project.card(source=folder(masks="images", mask_suffix="_mask")))
    assert [row.image_id for row in images] == ["a", "b"]
    with pytest.raises(MedstressError, match="mask_suffix"):
        project.prepare(project.card(source=folder(masks="images")))


def test_masks_may_lie_inside_the_images_folder(project: Project) -> None:
    save(project.root / "data" / "a.png", picture())
    save(project.root / "data" / "masks" / "a.png", disc())
    _, images, _ = project.prepare(project.card(source=folder(images="data", masks="data/masks")))
    assert [row.image_id for row in images] == ["a"]


def test_one_file_an_object_goes_to_the_longest_name_that_fits(project: Project) -> None:
    for name in ("case1", "case10"):
        save(project.root / "images" / f"{name}.png", picture())
    for name in ("case1_1", "case1_2", "case10_1"):
        save(project.root / "masks" / f"{name}.png", disc())
    _, _, samples = project.prepare(project.card(source=folder(), labels={"kind": "per_object"}))
    found = {row.image_id: [item.object_id for item in row.objects] for row in samples}
    assert found == {"case1": ["case1_1", "case1_2"], "case10": ["case10_1"]}


def test_the_patient_comes_out_of_the_name(project: Project) -> None:
    for name in ("p1_s1", "p1_s2", "p2_s1"):
        save(project.root / "images" / f"{name}.png", picture())
        save(project.root / "masks" / f"{name}.png", disc())
    _, images, _ = project.prepare(project.card(source=folder(group_pattern=r"^(p\d+)_")))
    assert [row.group_id for row in images] == ["p1", "p1", "p2"]
    for pattern, reason in ((r"^p\d+_", "round brackets"), ("(", "no regular expression"), ("(q)", "finds no group")):
        with pytest.raises(MedstressError, match=reason):
            project.prepare(project.card(source=folder(group_pattern=pattern)))


def test_what_is_missing_is_said_all_at_once(project: Project) -> None:
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.card())
    for name in ("images", "masks"):
        assert f"{project.root}/{name}: no such folder. Check `source.{name}` in the card" in str(caught.value)
    assert f"relative to the folder that the command runs in, {project.root.resolve()}." in str(caught.value)
    for name in ("images", "masks"):
        (project.root / name).mkdir()
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.card())
    assert "no images found" in str(caught.value)
    assert "no masks found" in str(caught.value)
    save(project.root / "images" / "a.png", picture())
    save(project.root / "masks" / "a_seg.png", disc())
    with pytest.raises(MedstressError, match=r"An image is 'a', a mask is 'a_seg'. Check `mask_suffix`"):
        project.prepare(project.card())
    assert project.wrote_nothing()
