"""The columns of every record: a frozen dataclass for one row, and the pyarrow schema of the file."""

import json
from dataclasses import dataclass
from typing import Literal, TypeVar

import pyarrow as pa

_PIXELS = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_BOX = pa.list_(pa.float32())


CLEAN = "clean"
"""What predictions and scores call the unperturbed image, at level 0."""


@dataclass(frozen=True)
class ImageRow:
    """One image of a data set. `png` is the 8-bit image; `raw_png` the 16-bit one, value = raw * slope + intercept."""

    image_id: str
    group_id: str
    split: str
    modality: str
    png: bytes
    height: int
    width: int
    raw_png: bytes | None = None
    slope: float | None = None
    intercept: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class ObjectRow:
    """One object of a sample: box x0, y0, x1, y1 in pixels, half-open; mask as COCO run-length bytes."""

    object_id: str
    label: str
    box: tuple[float, float, float, float]
    mask: bytes


@dataclass(frozen=True)
class SampleRow:
    """What is asked about one image; `labels` are the numbers of the classes that are there.

    `answer` of a question with `options` is one of them, word for word; `answer_type` is "" where nothing is asked.
    """

    sample_id: str
    image_id: str
    task: str
    objects: tuple[ObjectRow, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    labels: tuple[int, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()
    answer: str = ""
    answer_type: Literal["open", "closed", ""] = ""
    caption: str = ""


@dataclass(frozen=True)
class WarpRow:
    """The map from clean to perturbed pixel coordinates: its kind and its parameters (see medstress.perturb.warp)."""

    kind: str
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class PerturbedRow:
    """One image at one level of one perturbation. `band_low` and `band_high` are null where the scale is a table."""

    image_id: str
    perturbation: str
    level: int
    png: bytes
    valid: bytes | None
    warp: WarpRow | None
    strength: float
    ssim: float
    band_low: float | None
    band_high: float | None
    seed: int
    status: str


@dataclass(frozen=True)
class PredictionRow:
    """A model's answer for one object of one sample in one cell; "clean" with level 0 is the unperturbed image.

    Classifiers answer with one logit a class about the sample as a whole, whose object_id is empty, and models that
    write with `text`, which is kept as it came, and the `box` that was read out of it: x0, y0, x1, y1 in pixels of the
    image that was shown, half-open.
    """

    sample_id: str
    object_id: str
    perturbation: str
    level: int
    mask: bytes | None
    status: str
    error: str | None = None
    logits: tuple[float, ...] | None = None
    text: str | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class EmbeddingRow:
    """What an image encoder makes of one image in one cell, float32 little-endian bytes; "clean" has level 0."""

    image_id: str
    perturbation: str
    level: int
    embedding: bytes


@dataclass(frozen=True)
class TextRow:
    """What a text encoder makes of one text, float32 little-endian bytes of length 1, and its model's logit scale."""

    text: str
    embedding: bytes
    scale: float


JudgedStatus = Literal["ok", "identical", "unanswered", "unparsable", "refused", "error"]


@dataclass(frozen=True)
class JudgedRow:
    """What a judge says of one answer; rows are in the order of the predictions.

    status: ok; identical (the words of the truth, so the best score without asking); unanswered (there is no answer to
    judge); or unparsable, refused or error, all of the judge. `text` is its reply as it came, None where none did.
    """

    sample_id: str
    perturbation: str
    level: int
    score: float | None
    status: JudgedStatus
    text: str | None


@dataclass(frozen=True)
class ScoreRow:
    """One value of one metric."""

    task: str
    run: str
    seed: int
    dataset: str
    subset: str
    sample_id: str
    group_id: str
    object_id: str
    perturbation: str
    level: int
    metric: str
    value: float | None
    status: str


def _pixel_metadata(*columns: str) -> dict[str, str]:
    # Hugging Face `datasets` shows these columns as pictures.
    features = {column: {"_type": "Image"} for column in columns}
    return {"huggingface": json.dumps({"info": {"features": features}})}


IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("image", _PIXELS),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("raw", _PIXELS),
        pa.field("slope", pa.float64()),
        pa.field("intercept", pa.float64()),
        pa.field("unit", pa.string()),
    ],
    metadata=_pixel_metadata("image", "raw"),
)
SAMPLES = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field(
            "objects",
            pa.list_(
                pa.struct([("object_id", pa.string()), ("label", pa.string()), ("box", _BOX), ("mask", pa.binary())])
            ),
        ),
        pa.field("attributes", pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))),
        pa.field("labels", pa.list_(pa.int32())),
        pa.field("question", pa.string()),
        pa.field("options", pa.list_(pa.string())),
        pa.field("answer", pa.string()),
        pa.field("answer_type", pa.string()),
        pa.field("caption", pa.string()),
    ]
)
PERTURBED = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("perturbation", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),
        pa.field("image", _PIXELS),
        pa.field("valid", pa.binary()),
        pa.field("warp", pa.struct([("kind", pa.string()), ("parameters", pa.list_(pa.float64()))])),
        pa.field("strength", pa.float64(), nullable=False),
        pa.field("ssim", pa.float64(), nullable=False),
        pa.field("band_low", pa.float64()),
        pa.field("band_high", pa.float64()),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
    ],
    metadata=_pixel_metadata("image"),
)
PREDICTIONS = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("perturbation", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),
        pa.field("mask", pa.binary()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("logits", pa.list_(pa.float32())),
        pa.field("text", pa.string()),
        pa.field("box", _BOX),
    ]
)
EMBEDDINGS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("perturbation", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),
        pa.field("embedding", pa.binary(), nullable=False),
    ]
)
TEXTS = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        pa.field("embedding", pa.binary(), nullable=False),
        pa.field("scale", pa.float64(), nullable=False),
    ]
)
JUDGED = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("perturbation", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string()),
    ]
)
SCORES = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("run", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("subset", pa.string(), nullable=False),
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("perturbation", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
    ]
)

Row = ImageRow | SampleRow | PerturbedRow | PredictionRow | EmbeddingRow | TextRow | JudgedRow | ScoreRow
R = TypeVar("R", ImageRow, SampleRow, PerturbedRow, PredictionRow, EmbeddingRow, TextRow, JudgedRow, ScoreRow)
