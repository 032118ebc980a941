"""A segmenter of one convolution that says what it is given, and records that it can be attacked on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from medstress.cards.attack import Attack
from medstress.cards.segmenter import Sam
from medstress.models.segmentation.protocol import Parts
from medstress.pixels import box_of, encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, SampleRow, write_rows
from medstress.seeds import generator
from medstress.specs import AttackSpec

SIDE = 24


class Net(torch.nn.Module):
    """A smooth answer from three channels and the box; dropout gives training mode away."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first = torch.nn.Conv2d(4, 8, 5, padding=2)
        self.last = torch.nn.Conv2d(8, 1, 3, padding=1)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, pixels, drawn):
        seen = torch.cat([pixels / 127.5 - 1, drawn[:, None]], 1)
        return self.last(self.dropout(torch.tanh(self.first(seen))))[:, 0] + 2 * pixels.mean(1) / 127.5 - 2


class NetSegmenter:
    """Fulfils LearnedSegmenter with a net of a few hundred weights."""

    def __init__(self):
        self.model = Net().eval()
        self.parts = Parts(encoder="first", blocks=r"(\d+)", decoder="last")
        self.attacked, self.asked, self.sizes = 0, 0, set()

    def encode(self, images):
        raise NotImplementedError

    def loss(self, images, boxes, masks, embeddings=None):
        raise NotImplementedError

    def logits(self, pixels, boxes):
        """[objects, H, W] of one image [C, H, W]."""
        drawn = pixels.new_zeros(len(boxes), *pixels.shape[1:])
        for index, box in enumerate(boxes):
            x0, y0, x1, y1 = map(int, box)
            drawn[index, y0:y1, x0:x1] = 1
        return self.model(pixels.expand(len(boxes), 3, -1, -1), drawn)

    def attack_loss(self, pixels, boxes, masks):
        self.attacked += 1
        self.sizes.add(len(pixels))
        losses = []
        for image, asked, truth in zip(pixels, boxes, masks, strict=True):
            wanted = torch.from_numpy(np.stack(truth)).to(pixels)
            losses.append(functional.binary_cross_entropy_with_logits(self.logits(image, asked), wanted))
        return torch.stack(losses)

    def predict(self, images, boxes):
        assert not self.model.training
        self.asked += 1
        answers = []
        with torch.inference_mode():
            for image, asked in zip(images, boxes, strict=True):
                whole = torch.from_numpy(np.asarray(image, np.float32))
                pixels = whole[None] if whole.ndim == 2 else whole.permute(2, 0, 1)
                answers.append([mask.numpy() > 0 for mask in self.logits(pixels, asked)])
        return answers


def picture(index, *, colour=False, height=SIDE, width=SIDE):
    """A noisy picture of two squares, and their masks."""
    rng = generator(index)
    masks = [np.zeros((height, width), bool) for _ in range(2)]
    masks[0][3:11, 4:12] = True
    masks[1][13:21, 12 : 18 + index % 4] = True
    values = 90 + 70 * np.any(masks, 0)[..., None] + rng.normal(0, 25, (height, width, 3 if colour else 1))
    image = values.clip(0, 255).astype(np.uint8)
    return image if colour else image[..., 0], masks


def write_records(folder: Path, pictures) -> tuple[Path, Path]:
    images, samples = [], []
    for index, (image, masks) in enumerate(pictures):
        name = f"i{index}"
        images.append(ImageRow(name, f"g{index}", "test", "mri", encode_png(image), *image.shape[:2]))
        objects = tuple(
            ObjectRow(str(place), "thing", box_of(mask), encode_mask(mask)) for place, mask in enumerate(masks)
        )
        samples.append(SampleRow(f"s{index}", name, "segmentation", objects))
    # Neither a train image nor an image without objects is attacked.
    images.append(ImageRow("train", "gt", "train", "mri", encode_png(pictures[0][0]), *pictures[0][0].shape[:2]))
    samples.append(SampleRow("st", "train", "segmentation", samples[0].objects))
    images.append(ImageRow("bare", "gb", "test", "mri", encode_png(pictures[0][0]), *pictures[0][0].shape[:2]))
    write_rows(folder / "images.parquet", ImageRow, images)
    write_rows(folder / "samples.parquet", SampleRow, samples)
    return folder / "images.parquet", folder / "samples.parquet"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Threads gain nothing on such small tensors, and wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def segmenter() -> NetSegmenter:
    return NetSegmenter()


@pytest.fixture(scope="session")
def records(tmp_path_factory) -> tuple[Path, Path]:
    """Three grey images, two in colour, and one of another size."""
    pictures = [picture(index) for index in range(3)] + [picture(index, colour=True) for index in (3, 4)]
    return write_records(tmp_path_factory.mktemp("records"), [*pictures, picture(5, height=30, width=26)])


def attack(method="pgd", **changes) -> Attack:
    return Attack.model_validate({"name": method, "method": method} | changes)


def spec(*attacks, **changes) -> AttackSpec:
    card = Sam(name="net", title="Net", adapter="sam", weights="none", device="cpu")
    given = {"run": "net", "model": card, "dataset": "squares", "split": "test", "levels": [1, 3, 5]}
    return AttackSpec(**(given | {"attacks": list(attacks)} | changes))
