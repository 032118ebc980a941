"""Speed of box prompts: predict, which encodes an image once, beside loops that encode it again.

Time is the processor time of the whole process, which others on the machine hardly change.
"""

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from medstress.cards.segmentation import SegmentationCard
from medstress.cards.segmenter import Sam
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.journal import Journal
from medstress.models.predict import predict_dataset
from medstress.models.segmentation.sam import load
from medstress.models.segmentation.sam_preprocess import box_masks
from medstress.perturb.build import perturb_dataset
from medstress.perturb.registry import PERTURBATIONS
from medstress.pixels import decode_mask, decode_png
from medstress.records import CLEAN, ImageRow, PerturbedRow, PredictionRow, SampleRow, read_rows
from medstress.specs import PerturbSpec, PredictSpec, PrepareSpec
from tests.conftest import ROOT

# Of all threads, so the one that reads ahead hides nothing.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

CARD = Sam.model_validate(yaml.safe_load((ROOT / "config/models/tiny_sam.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory):
    """All tiles with the boxes of their nuclei: 16 images, 120 boxes."""
    folder: Path = tmp_path_factory.mktemp("nuclei")
    card = SegmentationCard.model_validate(
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


TYPES = ("gaussian_noise", "jpeg", "motion_blur", "rotation")


@pytest.fixture(scope="module")
def tumours(tmp_path_factory):
    """Records of a study with one box an image: 4 images, 4 types at five levels, 80 perturbed images."""
    folder: Path = tmp_path_factory.mktemp("tumours")
    card = SegmentationCard.model_validate(
        yaml.safe_load((ROOT / "config/datasets/lung_ct_tumour.yaml").read_text(encoding="utf-8"))
    )
    images, samples = folder / "images.parquet", folder / "samples.parquet"
    prepare_dataset(PrepareSpec(card=card, limit=Limit(images=4, objects=1)), ROOT, images, samples)
    perturbed = [folder / f"{name}.parquet" for name in TYPES]
    for name, path in zip(TYPES, perturbed, strict=True):
        spec = PerturbSpec(
            dataset=card.name,
            modality=card.modality,
            perturbation=name,
            levels=[1, 2, 3, 4, 5],
            split="test",
            background=0,
        )
        perturb_dataset(PERTURBATIONS[name], spec, images, path, workers=1)
    return images, samples, perturbed


def measure_views(benchmark, run):
    benchmark.extra_info["views"] = 80
    return benchmark.pedantic(run, rounds=3, warmup_rounds=1)


@pytest.fixture(scope="module")
def answers(tumours, tmp_path_factory):
    """Writes the predictions of the study and returns their path; each time from the beginning."""
    images, samples, perturbed = tumours
    segmenter = load(CARD, ROOT)
    spec = PredictSpec(run=CARD.name, model=CARD, dataset="lung_ct_tumour", split="test", prompt="moved")
    folders = (tmp_path_factory.mktemp("predictions") for _ in itertools.count())

    def run() -> Path:
        folder = next(folders)
        journal = Journal(folder / "journal")
        predict_dataset(segmenter, spec, images, samples, perturbed, folder / "p.parquet", journal=journal, code="")
        return folder / "p.parquet"

    return run


def test_study_predict(benchmark, answers):
    """Rule predict on a study with one box an image: reading, answers, journal and record."""
    measure_views(benchmark, answers)


def test_study_clean_again_for_each_file(benchmark, tumours, answers):
    """The same answers file by file: read the clean image and ask, then read the perturbed one and ask.

    Nothing is written, and no block is filled up. The boxes and the files lie in memory.
    """
    images, samples, perturbed = tumours
    segmenter = load(CARD, ROOT)
    boxes = {row.image_id: row.objects[0].box for row in read_rows(samples, SampleRow)}
    clean = {row.image_id: row for row in read_rows(images, ImageRow) if row.split == "test"}
    files = [row for path in perturbed for row in read_rows(path, PerturbedRow)]
    assert len(files) == 80
    known = {(row.sample_id, row.perturbation, row.level): row.mask for row in read_rows(answers(), PredictionRow)}

    @torch.inference_mode()
    def ask(png, box):
        image = decode_png(png, where="")
        frame = segmenter.preprocessing.frame(image)
        low = segmenter.decode(segmenter.encode([image]), [frame], [box])
        return (segmenter.to_image_logits(low, frame)[0] > 0).numpy()

    def run():
        return [
            (row, ask(clean[row.image_id].png, boxes[row.image_id]), ask(row.png, boxes[row.image_id])) for row in files
        ]

    for row, before, after in measure_views(benchmark, run):
        if row.warp is None:
            cells = ((CLEAN, 0, before), (row.perturbation, row.level, after))
            for name, level, mask in cells:
                stored = decode_mask(known[row.image_id, name, level], *mask.shape)
                # Blocks of other sizes may round a pixel at the edge otherwise.
                assert np.mean(mask != stored) < 1e-3
