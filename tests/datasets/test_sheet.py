"""A user's sheet: columns, paths, boxes, attributes."""

import numpy as np
import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.pixels import decode_png
from tests.datasets.conftest import Project, disc, picture, save


@pytest.fixture
def files(project: Project) -> Project:
    for index, name in enumerate(("a", "b", "c")):
        save(project.root / "img" / f"{name}.png", picture(index))
        save(project.root / "msk" / f"{name}.png", disc())
    return project


SPLIT = {"unit": "patient", "by": "column"}


def test_rows_bring_group_split_and_attributes(files: Project) -> None:
    files.write_sheet(
        "image,mask,group,split,scanner",
        "img/b.png,msk/b.png,p2,test,GE",
        "",
        f"{files.root}/img/a.png,msk/a.png,p1,train,",
    )
    _, images, samples = files.prepare(files.sheet_card(split=SPLIT, source={"attributes": ["scanner"]}))
    (b,) = [row for row in images if row.group_id == "p2"]
    assert (b.image_id, b.split) == ("img/b", "test")
    assert {row.sample_id: row.attributes for row in samples}["img/b"] == (("scanner", "GE"),)
    (a,) = [row for row in images if row.group_id == "p1"]
    assert a.split == "train"
    assert a.image_id.endswith("img/a")


def test_parquet_says_the_same_as_csv(files: Project) -> None:
    files.write_sheet("image,mask,group,box", "img/a.png,msk/a.png,7,20 10 41 31", "img/b.png,msk/b.png,8,")
    from_csv = files.prepare(files.sheet_card())
    frame = pd.DataFrame({"image": ["img/a.png", "img/b.png"], "mask": ["msk/a.png", "msk/b.png"], "group": [7.0, 8.0]})
    frame["box"] = [[20, 10, 41, 31], None]
    frame.to_parquet(files.root / "sheet.parquet")
    from_parquet = files.prepare(files.sheet_card(source={"sheet": "sheet.parquet"}))
    assert from_csv[1:] == from_parquet[1:]


def test_leading_dots_do_not_enter_the_id(files: Project) -> None:
    (files.root / "lists").mkdir()
    (files.root / "lists" / "s.csv").write_text("image,mask\n../img/a.png,../msk/a.png\n")
    _, images, _ = files.prepare(files.sheet_card(source={"sheet": "lists/s.csv"}))
    assert [row.image_id for row in images] == ["img/a"]


def test_boxes_are_derived_from_masks_unless_the_sheet_has_one(files: Project) -> None:
    tight = (22.0, 12.0, 39.0, 29.0)
    files.write_sheet(
        "image,mask,box",
        "img/a.png,msk/a.png,",
        'img/b.png,msk/b.png,"10, 5, 45, 35"',
        "img/c.png,msk/c.png,30 10 60 31",
    )
    summary, _, samples = files.prepare(files.sheet_card(size={"mode": "longest_side", "side": 100}))
    assert [row.objects[0].box for row in samples] == [
        tuple(2 * value for value in tight),
        (20.0, 10.0, 90.0, 70.0),
        (60.0, 20.0, 100.0, 62.0),
    ]
    (note,) = summary.notes
    assert "c.png" in note
    assert "reaches outside" in note


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("0 0 5 5", "does not meet the mask, whose box is 22 12 39 29"),
        ("60 10 70 20", "lies outside the image of 50 x 40"),
        ("39 12 22 29", "is empty"),
        ("1 2 3", "four numbers"),
        ("left", "expected numbers"),
        ("0 0 nan 5", "expected numbers"),
    ],
)
def test_a_box_that_meets_nothing_is_refused(files: Project, box: str, reason: str) -> None:
    files.write_sheet("image,mask,box", f"img/a.png,msk/a.png,{box}")
    with pytest.raises(MedstressError, match=reason):
        files.prepare(files.sheet_card())


def test_raw_intensities_come_along_with_their_scale(files: Project) -> None:
    hu = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    save(files.root / "raw" / "a.png", hu)
    files.write_sheet("image,mask,raw,slope,intercept,unit", "img/a.png,msk/a.png,raw/a.png,1,-1024,HU")
    (row,) = files.prepare(files.sheet_card(keep_raw=True))[1]
    assert row.raw_png is not None
    np.testing.assert_array_equal(decode_png(row.raw_png, where="raw"), hu)
    assert (row.slope, row.intercept, row.unit) == (1, -1024, "HU")
    (without,) = files.prepare(files.sheet_card())[1]
    assert without.raw_png is None


def test_several_mask_files_stand_in_one_cell(files: Project) -> None:
    files.write_sheet("image,mask", "img/a.png,msk/a.png;msk/b.png")
    (row,) = files.prepare(files.sheet_card(labels={"kind": "per_object"}))[2]
    assert [item.object_id for item in row.objects] == ["a", "b"]


def test_missing_sheets_and_columns_are_named_with_what_there_is(files: Project) -> None:
    with pytest.raises(MedstressError, match=r"no such sheet.*`source\.sheet`.*relative to the folder that") as caught:
        files.prepare(files.sheet_card())
    assert str(caught.value).endswith(f"runs in, {files.root.resolve()}.")
    files.write_sheet("picture,mask", "img/a.png,msk/a.png")
    wanted = r"no column image, split, site. The sheet has: picture, mask\.\n.*a column `group` with the patient"
    with pytest.raises(MedstressError, match=wanted):
        files.prepare(files.sheet_card(split=SPLIT, source={"attributes": ["site"]}))
    files.write_sheet("image,mask")
    with pytest.raises(MedstressError, match="no images found"):
        files.prepare(files.sheet_card())
    (files.root / "sheet.csv").write_bytes("image,mask\nimg/Größe.png,x".encode("latin-1"))
    with pytest.raises(MedstressError, match="UTF-8"):
        files.prepare(files.sheet_card())
    assert files.wrote_nothing()
