"""Speed of box prompts: predict, which encodes an image once, beside loops that encode it again for each box."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from medstress.cards.dataset import DatasetCard
from medstress.cards.model import Sam
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.models.segmentation.sam import load
from medstress.models.segmentation.sam_preprocess import box_masks
from medstress.pixels import decode_png
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec
from tests.conftest import ROOT

CARD = Sam.model_validate(yaml.safe_load((ROOT / "config/models/tiny_sam.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory):
    """All tiles with the boxes of their nuclei: 16 images, 120 boxes."""
    folder: Path = tmp_path_factory.mktemp("nuclei")
    card = DatasetCard.model_validate(
        yaml.safe_load((ROOT / "config/datasets/nuclei.yaml").read_text(encoding="utf-8"))
    )
    images, samples = folder / "images.parquet", folder / "samples.parquet"
    prepare_dataset(PrepareSpec(card=card, limit=Limit()), ROOT, images, samples)
    pictures = [decode_png(row.png, where=row.image_id) for row in read_rows(images, ImageRow)]
    return pictures, [[item.box for item in row.objects] for row in read_rows(samples, SampleRow)]


def measure(benchmark, run, boxes):
    benchmark.extra_info["boxes"] = sum(map(len, boxes))
    return benchmark.pedantic(run, rounds=3, warmup_rounds=1)


def test_sam_predict(benchmark, nuclei):
    images, boxes = nuclei
    segmenter = load(CARD, ROOT)
    measure(benchmark, lambda: segmenter.predict(images, boxes), boxes)


def test_sam_encode_for_each_box(benchmark, nuclei):
    """The same adapter without its cache; no block is filled up, so nothing is wasted."""
    images, boxes = nuclei
    segmenter = load(CARD, ROOT)

    @torch.inference_mode()
    def run():
        masks = []
        for image, group in zip(images, boxes, strict=True):
            frame = segmenter.preprocessing.frame(image)
            for box in group:
                low = segmenter.decode(segmenter.encode([image]), [frame], [box])
                masks.append(segmenter.to_image_logits(low, frame) > 0)
        return masks

    measure(benchmark, run, boxes)


def test_sam_transformers_for_each_box(benchmark, nuclei):
    """transformers' processor, model and post-processing, as its documentation puts them together."""
    images, boxes = nuclei
    segmenter = load(CARD, ROOT)
    model = SamModel.from_pretrained(ROOT / CARD.weights).eval()
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(ROOT / CARD.weights))
    side = processor.target_size
    pad = {"height": side, "width": side}

    @torch.inference_mode()
    def run():
        masks = []
        for image, group in zip(images, boxes, strict=True):
            frame = segmenter.preprocessing.frame(image)
            colour = np.repeat(image[..., None], 3, axis=2)
            for x0, y0, x1, y1 in group:
                inputs = processor(images=colour, input_boxes=[[[x0, y0, x1 - 1, y1 - 1]]], return_tensors="pt")
                sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
                prompt = torch.from_numpy(box_masks([(x0, y0, x1, y1)], [frame], side, side // 2))
                low = model(**inputs, input_masks=prompt, multimask_output=False).pred_masks
                masks.append(processor.image_processor.post_process_masks(low, *sizes, pad_size=pad)[0])
        return masks

    measure(benchmark, run, boxes)
