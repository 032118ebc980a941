"""benchmarks/gpu.py measures what it says: run on a CPU with a tiny model, where only speed means nothing."""

import numpy as np
import pytest
import torch
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from benchmarks import gpu, gpu_answers
from medstress.models.precision import Precision
from medstress.models.segmentation.medsam import MedSamPixels
from medstress.models.segmentation.sam import SamSegmenter
from tests.models.sam_files import tiny_model
from tests.models.vlm_folders import save_gemma

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def config():
    return tiny_model().config


@pytest.fixture(scope="module")
def segmenter(config):
    model = tiny_model().train(False)
    return SamSegmenter(model, MedSamPixels(model.prompt_encoder.input_image_size), batch=2)


def test_both_ways_are_measured_on_the_same_weights(config):
    ways, agreement = gpu.compare(config, CPU, (1, 2), 4)
    assert [way.name for way in ways] == ["fp32, 1 at a time", "bf16, 1 at a time", "bf16, 2 at a time"]
    assert all(min(way.encoder, way.predict, way.tflops) > 0 for way in ways)
    # Operations an image are the same whatever the way.
    assert np.ptp([way.tflops / way.encoder for way in ways]) < 1e-12
    assert 0 < agreement.difference < 10
    assert 0.9 < agreement.signs <= 1


def test_a_way_agrees_with_itself_and_bf16_does_not_quite(segmenter):
    images, boxes = gpu.drawn_images(64, 3)
    same = gpu.agreement_of(segmenter, segmenter, images, boxes)
    assert (same.difference, same.signs) == (0, 1)
    rounded = SamSegmenter(
        segmenter.model, segmenter.preprocessing, batch=2, precision=Precision("cpu", torch.bfloat16)
    )
    other = gpu.agreement_of(segmenter, rounded, images, boxes)
    assert other.difference > 1e-3


def test_operations_are_counted(segmenter):
    """The products of the encoder, by hand: patches, 2 blocks (one in windows of 3, padded to 6), and the neck."""
    patches, width, mlp, neck = 16, 24, 32, 16
    projections = {windows: 2 * tokens * width * 4 * width for windows, tokens in ((True, 36), (False, 16))}
    attention = 2 * 2 * (4 * 9 * 9 * width + 16 * 16 * width)
    blocks = sum(projections.values()) + attention + 2 * (2 * patches * 2 * width * mlp)
    ends = 2 * patches * (3 * 16 * 16) * width + 2 * patches * width * neck + 2 * patches * neck * neck * 9
    # Relative positions are small products besides.
    assert 1 <= gpu.encoder_flops(segmenter) / (blocks + ends) < 1.15


def test_images_and_boxes_are_drawn_alike_each_time():
    first, second = (gpu.drawn_images(48, 2) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first[0], second[0], strict=True))
    assert first[1] == second[1]
    for ((x0, y0, x1, y1),) in first[1]:
        assert 0 <= x0 < x1 <= 48
        assert 0 <= y0 < y1 <= 48


def test_a_matrix_product_has_a_speed(monkeypatch):
    monkeypatch.setattr(gpu, "_MATMUL_SECONDS", 1e-3)
    assert gpu.matmul_tflops(CPU, torch.float32, 64) > 0


def test_the_table_and_what_is_not_reached():
    ways = [gpu.Way("fp32", 10.0, 5.0, 4.0), gpu.Way("bf16", 90.0, 20.0, 36.0)]
    rows = gpu.table_of(ways, 400.0)
    assert rows[-1] == "| bf16 | 90.0 | 9.0 | 20.0 | 4.0 | 36.0 | 9% |"
    assert gpu.verdict_of(ways, gpu.Agreement(0.01, 1.0)) == []
    slow = [ways[0], gpu.Way("bf16", 20.0, 20.0, 36.0)]
    wrong = gpu.verdict_of(slow, gpu.Agreement(0.2, 0.9))
    assert len(wrong) == 3
    assert "2.0 times as fast, less than 8" in wrong[0]


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 0
    assert capsys.readouterr().out == "No CUDA device: nothing is measured.\n"


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gemma")
    save_gemma(folder)
    return Gemma3Config.from_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_vision_language_model_is_asked_by_batch(gemma, dtype):
    model = gpu_answers.drawn_model(gemma, CPU, dtype)
    assert {item.dtype for item in model.parameters()} == {dtype}
    assert torch.get_default_dtype() == torch.float32
    found = gpu_answers.batch_of(model, 3, new=5)
    assert (found.size, found.tokens) == (3, 15)
    assert found.first > 0
    assert found.whole > 0
    assert found.speed == 15 / found.whole


def test_questions_are_read_with_their_images(gemma):
    model = gpu_answers.drawn_model(gemma, CPU, torch.float32)
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)  # which begins as zeros
    inputs = gpu_answers.inputs_of(model, 2)
    assert inputs["token_type_ids"].sum(1).tolist() == [4, 4]
    with torch.inference_mode():
        seen = model(**inputs).logits
        other = model(**inputs | {"pixel_values": inputs["pixel_values"].flip(0)}).logits
    assert not torch.allclose(seen[:, -1], other[:, -1])


def test_the_model_has_the_size_of_medgemma():
    with torch.device("meta"):
        model = Gemma3ForConditionalGeneration(gpu_answers.medgemma_size())
    assert sum(item.numel() for item in model.parameters()) == pytest.approx(4.3e9, rel=0.001)


def test_the_table_of_answers():
    first, second = gpu_answers.Batch(1, 0.1, 2.0, 64, 8.5), gpu_answers.Batch(8, 0.4, 4.0, 512, 9.25)
    assert gpu_answers.table_of([first, second])[2:] == [
        "| 1 | 0.100 | 2.00 | 32 | 1.0 | 0.50 | 8.5 |",
        "| 8 | 0.400 | 4.00 | 128 | 4.0 | 2.00 | 9.2 |",
    ]
