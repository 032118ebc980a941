"""Speed of training with a frozen image encoder: embeddings of fixed variations beside encoding at every step."""

import time
from pathlib import Path

import pytest
import torch
import yaml
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from medstress.adapt.batches import cached_batches, fresh_batches
from medstress.adapt.examples import read_examples
from medstress.adapt.segmentation import SegmentationLearner
from medstress.adapt.trainable import apply_strategy, set_training_mode
from medstress.adapt.trainer import Training
from medstress.cards.segmentation import SegmentationCard
from medstress.cards.segmenter import Sam
from medstress.cards.strategy import DecoderOnly
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.models.segmentation.sam import load
from medstress.specs import PrepareSpec
from tests.conftest import ROOT

# One thread's time, which others on the machine do not change.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

SIDE = 256
# An epoch of 16 images with one lesion each.
BATCH, STEPS = 4, 4


@pytest.fixture(scope="module")
def lesions(tmp_path_factory):
    """Images of brain tumours."""
    folder: Path = tmp_path_factory.mktemp("lesions")
    card = SegmentationCard.model_validate(
        yaml.safe_load((ROOT / "config/datasets/brain_mri_tumour.yaml").read_text(encoding="utf-8"))
    )
    images, samples = folder / "images.parquet", folder / "samples.parquet"
    prepare_dataset(PrepareSpec(card=card, limit=Limit()), ROOT, images, samples)
    return read_examples(images, samples, "train")


@pytest.fixture(scope="module")
def tiny() -> Sam:
    """The shipped model: a decoder for every four blocks of the encoder, in SAM ViT-B one for many more."""
    card = Sam.model_validate(yaml.safe_load((ROOT / "config/models/tiny_sam.yaml").read_text(encoding="utf-8")))
    return card.model_copy(update={"weights": str(ROOT / card.weights)})


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Sam:
    """Random weights with the twelve blocks of ViT-B at half its width, 256 px: still a smaller encoder than SAM's."""
    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=6,
            image_size=SIDE,
            patch_size=16,
            mlp_dim=1536,
            output_channels=128,
            num_pos_feats=64,
            window_size=8,
        ).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=128, image_size=SIDE, patch_size=16).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=128, mlp_dim=1024, num_attention_heads=8).to_dict(),
    )
    folder = tmp_path_factory.mktemp("deep")
    SamModel(config).save_pretrained(folder)
    return Sam(name="deep", title="Deep", adapter="sam", weights=str(folder), device="cpu", batch=1)


def measure(benchmark, card, lesions, folder, views):
    strategy = DecoderOnly(
        name="decoder_only",
        title="Decoder only",
        method="decoder_only",
        train_on=["brain_mri_tumour"],
        learning_rate=1e-4,
        steps=1000,
        batch=BATCH,
        cached_views=views,
    )
    segmenter = load(card)
    apply_strategy(segmenter.model, segmenter.parts, strategy, 0, name=card.name)
    batches = cached_batches(segmenter, lesions, strategy, 0, folder) if views else fresh_batches(lesions, strategy, 0)
    learner = SegmentationLearner(segmenter, batches, [])
    training = Training(learner, card, strategy, strategy.learning_rate, 0, folder / "rate0.pt")
    set_training_mode(segmenter.model)

    def epoch():
        for step in range(STEPS):
            training.advance(batches(step))

    benchmark.extra_info["trained_images"] = BATCH * STEPS
    benchmark.pedantic(epoch, rounds=3, warmup_rounds=1)


def test_finetune_tiny_cached(benchmark, tiny, lesions, tmp_path):
    measure(benchmark, tiny, lesions, tmp_path, 4)


def test_finetune_tiny_encoding(benchmark, tiny, lesions, tmp_path):
    measure(benchmark, tiny, lesions, tmp_path, 0)


def test_finetune_deep_cached(benchmark, deep, lesions, tmp_path):
    measure(benchmark, deep, lesions, tmp_path, 4)


def test_finetune_deep_encoding(benchmark, deep, lesions, tmp_path):
    measure(benchmark, deep, lesions, tmp_path, 0)
