"""Records: what is written is read, whole or not at all, and by the tools that others use."""

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco

from medstress.errors import MedstressError
from medstress.pixels import box_of, decode_mask, decode_png, encode_mask, encode_png
from medstress.records import (
    ImageRow,
    ObjectRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    WarpRow,
    read_groups,
    read_rows,
    record_writer,
    write_rows,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 50)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (40, 50, 3)).astype(np.uint8)
MASK = np.zeros((40, 50), bool)
MASK[10:20, 5:45] = True

ROWS = {
    ImageRow: ImageRow(
        "a/1", "p1", "test", "ct", encode_png(GREY), 40, 50, encode_png(GREY.astype("u2")), 1.0, -1024.0, "HU"
    ),
    SampleRow: SampleRow(
        "a/1",
        "a/1",
        "segmentation",
        (ObjectRow("1", "tumour", (5.0, 10.0, 45.0, 20.0), encode_mask(MASK)),),
        (("sex", "f"),),
    ),
    PerturbedRow: PerturbedRow(
        "a/1",
        "rotation",
        3,
        encode_png(GREY),
        encode_mask(MASK),
        WarpRow("affine", (1.0, 0, 0, 0, 1, 0)),
        15.0,
        0.5,
        None,
        None,
        7,
        "table",
    ),
    PredictionRow: PredictionRow("a/1", "1", "clean", 0, encode_mask(MASK), "ok"),
    ScoreRow: ScoreRow("segmentation", "grabcut", 0, "d", "iid", "a/1", "p1", "1", "clean", 0, "iou", 0.5, "ok"),
}


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_what_is_written_is_read(kind, tmp_path):
    path = tmp_path / "deep" / "record.parquet"
    write_rows(path, kind, [ROWS[kind]] * 3)
    assert read_rows(path, kind) == [ROWS[kind]] * 3
    assert [item.name for item in path.parent.iterdir()] == ["record.parquet"]


def test_questions_and_what_was_written(tmp_path):
    asked = SampleRow(
        "q",
        "a/1",
        "vqa",
        question="Which?",
        options=("CT", "MRI"),
        answer="MRI",
        answer_type="closed",
        caption="a head",
    )
    write_rows(tmp_path / "samples.parquet", SampleRow, [asked, ROWS[SampleRow]])
    assert read_rows(tmp_path / "samples.parquet", SampleRow) == [asked, ROWS[SampleRow]]
    said = PredictionRow("q", "1", "clean", 0, None, "ok", text="It is\n[1, 2, 3, 4].", box=(1.0, 2.0, 3.0, 4.5))
    refused = PredictionRow("q", "", "clean", 0, None, "refused", text="")
    write_rows(tmp_path / "predictions.parquet", PredictionRow, [said, refused])
    assert read_rows(tmp_path / "predictions.parquet", PredictionRow) == [said, refused]


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_empty_records_can_be_read(kind, tmp_path):
    write_rows(tmp_path / "r.parquet", kind, [])
    assert read_rows(tmp_path / "r.parquet", kind) == []


def test_row_groups_and_bytes_do_not_depend_on_how_rows_arrive(tmp_path):
    rows = [PredictionRow(str(index), "1", "clean", 0, None, "ok") for index in range(40_000)]
    write_rows(tmp_path / "once.parquet", PredictionRow, rows)
    with record_writer(tmp_path / "bits.parquet", PredictionRow) as writer:
        for start in range(0, len(rows), 777):
            writer.write(rows[start : start + 777])
    assert (tmp_path / "once.parquet").read_bytes() == (tmp_path / "bits.parquet").read_bytes()
    assert [len(group) for group in read_groups(tmp_path / "once.parquet", PredictionRow)] == [16384, 16384, 7232]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "r.parquet"
    write_rows(path, ScoreRow, [ROWS[ScoreRow]])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="on the way"), record_writer(path, ScoreRow) as writer:
        writer.write([ROWS[ScoreRow]] * 5)
        raise RuntimeError("on the way")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_broken_files_are_named_with_what_to_do(tmp_path):
    path = tmp_path / "r.parquet"
    with pytest.raises(MedstressError, match=r"r\.parquet: no such record"):
        read_rows(path, ScoreRow)
    write_rows(path, ScoreRow, [ROWS[ScoreRow]] * 100)
    whole = path.read_bytes()
    for cut in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(MedstressError, match=r"r\.parquet: truncated or not a Parquet file.*Delete it"):
            read_rows(path, ScoreRow)
    write_rows(path, PredictionRow, [ROWS[PredictionRow]])
    with pytest.raises(MedstressError, match="columns task, run, seed"):
        read_rows(path, ScoreRow)


def test_damage_inside_a_file_is_found(tmp_path):
    path = tmp_path / "r.parquet"
    write_rows(path, ImageRow, [ROWS[ImageRow]] * 40)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(bytes(data))
    with pytest.raises(MedstressError, match="cannot be read"):
        read_rows(path, ImageRow)


def test_pixels_stay_unread_where_they_are_not_wanted(tmp_path):
    write_rows(tmp_path / "r.parquet", PerturbedRow, [ROWS[PerturbedRow]])
    (row,) = read_rows(tmp_path / "r.parquet", PerturbedRow, pixels=False)
    assert (row.png, row.ssim) == (b"", 0.5)


def test_hugging_face_datasets_show_pictures(tmp_path):
    write_rows(tmp_path / "images.parquet", ImageRow, [ROWS[ImageRow]] * 2)
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "images.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded[0]["image"].size == (50, 40)
    assert np.array_equal(np.asarray(loaded[1]["image"]), GREY)
    assert np.array_equal(np.asarray(loaded[0]["raw"]), GREY)


def test_masks_are_what_pycocotools_reads(tmp_path):
    write_rows(tmp_path / "s.parquet", SampleRow, [ROWS[SampleRow]])
    counts = pq.read_table(tmp_path / "s.parquet").to_pylist()[0]["objects"][0]["mask"]
    assert np.array_equal(coco.decode({"size": [40, 50], "counts": counts}), MASK)
    assert np.array_equal(decode_mask(counts, 40, 50), MASK)
    x, y, width, height = coco.toBbox({"size": [40, 50], "counts": counts})
    assert box_of(MASK) == (x, y, x + width, y + height)


@pytest.mark.parametrize("image", [GREY, COLOUR, GREY.astype(np.uint16) * 250], ids=["grey", "colour", "16 bit"])
def test_png_keeps_every_pixel(image):
    back = decode_png(encode_png(image), where="test")
    assert back.dtype == image.dtype
    assert np.array_equal(back, image)


@pytest.mark.parametrize("data", [b"", b"no picture", encode_png(GREY)[:200]])
def test_unreadable_png_is_named(data):
    if data[:4] == b"\x89PNG":
        # OpenCV fills what a cut file lacks; such files are refused where raw files are read (datasets).
        data = data[:30]
    with pytest.raises(MedstressError, match="image a/1: the bytes are not a readable PNG"):
        decode_png(data, where="image a/1")


def test_an_empty_mask_has_no_box():
    with pytest.raises(ValueError, match="no box"):
        box_of(np.zeros((4, 4), bool))
