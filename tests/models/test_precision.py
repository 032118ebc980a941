"""Number formats and memory, on a device that only pretends: what there is to hold without a GPU."""

import pytest
import torch

from medstress.errors import MedstressError
from medstress.models.precision import Precision, largest_batch, precision_of
from medstress.models.segmentation import sam
from tests.models.sam_files import BOXES, grey, sam_card, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam")
    tiny_model().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("fitting", range(13))
@pytest.mark.parametrize("limit", [1, 2, 7, 8, 12])
def test_the_largest_batch_is_found(fitting, limit):
    tried = []

    def fits(images):
        tried.append(images)
        return images <= fitting

    assert largest_batch(fits, limit) == min(fitting, limit)
    assert len(tried) == len(set(tried))
    assert max(tried) <= limit


def test_nothing_is_tried_without_room():
    assert largest_batch(lambda images: True, 0) == 0


@pytest.mark.parametrize("said", ["fp32", "bf16", "fp16"])
def test_a_cpu_computes_in_fp32_whatever_the_card_says(folder, said):
    card = sam_card(folder, precision=said, compiled=True, batch="auto")
    assert precision_of(card, torch.device("cpu")) == Precision("cpu", None)
    ours = sam.load(card)
    assert ours.batch == 1
    assert ours.model.vision_encoder._compiled_call_impl is None
    with torch.inference_mode():
        assert torch.equal(ours.encode([grey()]), sam.load(sam_card(folder, batch=1)).encode([grey()]))


def test_coordinates_never_go_through_half_precision(folder):
    """autocast as on a GPU, but on the CPU, which has it as well; also inside an autocast of a trainer."""
    plain = sam.load(sam_card(folder, mask_prompt=True))
    half = sam.SamSegmenter(
        plain.model, plain.preprocessing, batch=2, mask_prompt=True, precision=Precision("cpu", torch.bfloat16)
    )
    formats = {}
    for name in ("vision_encoder.layers.0.attn.qkv", "prompt_encoder.mask_embed.conv1", "mask_decoder.upscale_conv1"):
        plain.model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: formats.update({name: output.dtype})
        )
    frames = [plain.preprocessing.frame(grey())] * 3

    def low(segmenter):
        with torch.inference_mode():
            return segmenter.decode(segmenter.encode([grey()]).expand(3, -1, -1, -1), frames, BOXES)

    exact = low(plain)
    assert set(formats.values()) == {torch.float32}
    rough = low(half)
    assert rough.dtype == torch.float32
    assert [str(value) for value in formats.values()] == ["torch.bfloat16", "torch.float32", "torch.float32"]
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(low(half), rough)


def memory_for(segmenter, images):
    """Make a segmenter's encoder fail as a GPU does that holds so many images and no more."""

    def refuse(_module, inputs):
        if len(inputs[0]) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    segmenter.model.vision_encoder.register_forward_pre_hook(refuse)


def test_out_of_memory_names_the_largest_batch_that_fits(folder):
    ours = sam.load(sam_card(folder, batch=8))
    memory_for(ours, 3)
    assert ours.largest_batch() == 3
    with pytest.raises(MedstressError, match=r"card other: .* with batch 8. The largest batch that fits now is 3:"):
        ours.predict([grey()], [BOXES])
    ours.batch = 3
    assert len(ours.predict([grey()], [BOXES])[0]) == 3


def test_out_of_memory_for_a_single_image_says_so(folder):
    ours = sam.load(sam_card(folder, batch=1))
    memory_for(ours, 0)
    assert ours.largest_batch() == 0
    with pytest.raises(MedstressError, match=r"with batch 1. Not even one fits"):
        ours.predict([grey()], [BOXES])
