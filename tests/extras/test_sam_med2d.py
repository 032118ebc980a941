"""SAM-Med2D: the published names, its authors' way of asking, and refusals of everything else."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from segment_anything.modeling.image_encoder import Block
from torch.nn import functional

from medstress.cards.segmenter import SamMed2d
from medstress.errors import MedstressError
from medstress.models.segmentation.sam_med2d import Med2dPixels, SamMed2dSegmenter, load
from medstress.models.segmentation.sam_med2d_checkpoint import load_checkpoint
from medstress.models.segmentation.sam_med2d_encoder import AdaptedBlock, Adapter, SamMed2dNetwork, Shape

SIDE = 64
TINY = Shape(
    side=SIDE, width=32, depth=2, heads=2, global_blocks=(1,), window=3, channels=32, decoder_heads=4, decoder_width=48
)
NAMES = Path(__file__).with_name("sam_med2d_names.txt")
BOXES = [(3.0, 5.0, 30.0, 28.0), (0.0, 0.0, 33.0, 29.0), (10.5, 12.25, 11.0, 30.0)]


def tiny_network(seed=5):
    torch.manual_seed(seed)
    network = SamMed2dNetwork(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return tiny_network()


def picture(height, width, colour=True, seed=1):
    size = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def card_of(path, **changes):
    return SamMed2d(name="other", title="Other", adapter="sam_med2d", weights=str(path), device="cpu", **changes)


@pytest.fixture(scope="module")
def full_size():
    with torch.device("meta"):
        return SamMed2dNetwork(Shape())


def test_names_and_shapes_are_the_published_ones(full_size):
    published = {line.split()[0]: tuple(map(int, line.split()[1:])) for line in NAMES.read_text().splitlines()}
    assert {name: tuple(tensor.shape) for name, tensor in full_size.state_dict().items()} == published


def test_parts_have_the_published_sizes(full_size):
    import re

    parts = SamMed2dSegmenter(full_size).parts

    def size(pattern):
        return sum(p.numel() for name, p in full_size.named_parameters() if re.match(pattern, name))

    assert size("") == 271_241_776
    assert size(parts.adapters) == 180_504_576
    assert size(parts.decoder) == 4_058_340
    assert size(parts.prompt_encoder) == 6_220
    assert size(parts.encoder) + size(parts.decoder) + size(parts.prompt_encoder) == size("")
    blocks = {int(m[1]) for name, _ in full_size.named_parameters() if (m := re.match(parts.blocks, name))}
    assert blocks == set(range(12))
    linear = [name for name, module in full_size.named_modules() if isinstance(module, torch.nn.Linear)]
    found = {
        part: len([name for name in linear if re.fullmatch(getattr(parts, part), name)])
        for part in ("qkv", "encoder_outputs", "mlp_outputs", "decoder_projections")
    }
    # Two decoder layers with three attentions each and one at the end, three projections in each.
    assert found == {"qkv": 12, "encoder_outputs": 12, "mlp_outputs": 12, "decoder_projections": 21}


def published_adapter(weights, tokens):
    """The adapter in the words of its paper: a gate from channel means, a strided convolution and its transpose."""
    x = tokens.permute(0, 3, 1, 2)
    squeezed = functional.relu(
        functional.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1), weights["channel.0.weight"])
    )
    gated = torch.sigmoid(functional.linear(squeezed, weights["channel.2.weight"]))[..., None, None] * x
    low = functional.relu(functional.conv2d(gated, weights["spatial.0.weight"], stride=2, padding=1))
    high = functional.relu(functional.conv_transpose2d(low, weights["spatial.2.weight"], stride=2, padding=1))
    summed = (x + high).permute(0, 2, 3, 1)
    return functional.layer_norm(summed, summed.shape[-1:], weights["norm.weight"], weights["norm.bias"], 1e-5)


def test_the_adapter_is_the_published_formula():
    torch.manual_seed(0)
    adapter, tokens = Adapter(32), torch.randn(2, 6, 8, 32)
    torch.nn.init.normal_(adapter.norm.weight)
    expected = published_adapter(adapter.state_dict(), tokens)
    torch.testing.assert_close(adapter(tokens), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [0, 3])
def test_a_block_is_segment_anythings_plus_the_adapter(window):
    torch.manual_seed(1)
    settings = {"num_heads": 2, "use_rel_pos": True, "window_size": window, "input_size": (4, 4)}
    adapted, plain = AdaptedBlock(32, **settings), Block(32, **settings)
    for parameter in adapted.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    plain.load_state_dict({name: t for name, t in adapted.state_dict().items() if not name.startswith("Adapter.")})
    tokens = torch.randn(2, 4, 4, 32)
    whole = plain(tokens)
    for parameter in plain.mlp.parameters():
        torch.nn.init.zeros_(parameter)
    beside = published_adapter(adapted.Adapter.state_dict(), plain.norm2(plain(tokens)))
    torch.testing.assert_close(adapted(tokens), whole + beside, atol=1e-4, rtol=1e-4)


def reference_logits(network, image, box, multimask):
    """One image and one box as the authors' test asks: float64 pixels through OpenCV, one mask chosen of three."""
    height, width = image.shape[:2]
    bgr = (image if image.ndim == 3 else np.repeat(image[..., None], 3, 2))[..., ::-1]
    values = (bgr - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    x0, y0, x1, y1 = box
    small = height < SIDE and width < SIDE
    if small:
        top, left = (SIDE - height) // 2, (SIDE - width) // 2
        values = cv2.copyMakeBorder(
            values, top, SIDE - height - top, left, SIDE - width - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
        )
        prompt = [x0 + left, y0 + top, x1 + left, y1 + top]
    else:
        values = cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        prompt = [x0 * SIDE / width, y0 * SIDE / height, x1 * SIDE / width, y1 * SIDE / height]
    pixels = torch.from_numpy(values).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        sparse, dense = network.prompt_encoder(None, torch.tensor([prompt]), None)
        masks, quality = network.mask_decoder(
            image_embeddings=network.image_encoder(pixels),
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        low = masks[:, int(quality[0].argmax())][:, None]
        full = functional.interpolate(low, (SIDE, SIDE), mode="bilinear", align_corners=False)
        if small:
            return full[0, 0, top : top + height, left : left + width].numpy()
        return functional.interpolate(full, (height, width), mode="bilinear", align_corners=False)[0, 0].numpy()


SIZES = [(40, 50, True), (35, 33, False), (90, 70, True), (150, 61, False), (64, 63, True)]


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize(("height", "width", "colour"), SIZES)
def test_logits_are_those_of_the_authors_test(network, height, width, colour, multimask):
    segmenter = SamMed2dSegmenter(network, multimask=multimask)
    image = picture(height, width, colour)
    frame = segmenter.preprocessing.frame(image)
    with torch.inference_mode():
        embeddings = segmenter.encode([image]).expand(len(BOXES), -1, -1, -1)
        low = segmenter.decode(embeddings, [frame] * len(BOXES), BOXES)
        mine = segmenter.to_image_logits(low, frame).numpy()
    expected = np.stack([reference_logits(network, image, box, multimask) for box in BOXES])
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(mine, expected, atol=1e-4)


def test_three_masks_differ_from_one(network):
    one, three = (
        SamMed2dSegmenter(network, multimask=multimask).predict([picture(90, 70)], [BOXES])[0]
        for multimask in (False, True)
    )
    assert any((a != b).any() for a, b in zip(one, three, strict=True))


def test_answers_do_not_depend_on_what_is_asked_beside(network):
    images = [picture(height, width, colour, seed) for seed, (height, width, colour) in enumerate(SIZES)]
    groups = [BOXES, BOXES[:1], [], BOXES[1:], BOXES[:2]]
    segmenter = SamMed2dSegmenter(network, batch=2)
    with torch.inference_mode():
        together = list(segmenter._logits(images, groups))
        alone = [
            (index, logits)
            for index, (image, group) in enumerate(zip(images, groups, strict=True))
            for box in group
            for _, logits in segmenter._logits([image], [[box]])
        ]
    assert [index for index, _ in together] == [index for index, _ in alone]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(together, alone, strict=True))
    masks = segmenter.predict(images, groups)
    assert [[mask.shape for mask in group] for group in masks] == [
        [image.shape[:2]] * len(group) for image, group in zip(images, groups, strict=True)
    ]


@pytest.mark.parametrize("size", [65, 100, 203, 255, 300, 512, 1000])
def test_pixels_are_chosen_as_opencv_chooses_them(size):
    image = picture(size, size + 31, seed=size)
    stretched = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)[..., ::-1]
    expected = (stretched - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    np.testing.assert_allclose(Med2dPixels(SIDE).pixels(image), expected.transpose(2, 0, 1), atol=1e-6)


def truth_of(image, boxes):
    masks = []
    for x0, y0, x1, y1 in boxes:
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[int(y0) : int(y1), int(x0) : int(x1) + 1] = True
        masks.append(mask)
    return masks


@pytest.mark.parametrize(("height", "width", "colour"), SIZES[:3])
def test_the_attacked_loss_is_the_training_loss_and_its_gradient_is_true(height, width, colour):
    network = tiny_network().double()
    network.prompt_encoder.pe_layer.float()  # segment_anything's coordinates are always single
    segmenter = SamMed2dSegmenter(network)
    segmenter._embed = network.encode
    image = picture(height, width, colour)
    SamMed2dSegmenter(tiny_network()).predict([image], [BOXES[:2]])  # nothing of it may stay that has no gradient
    masks = [truth_of(image, BOXES[:2])]
    stored = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    pixels = torch.from_numpy(np.ascontiguousarray(stored))[None].double().requires_grad_()
    loss = segmenter.attack_loss(pixels, [BOXES[:2]], masks)
    assert loss.shape == (1,)
    (gradient,) = torch.autograd.grad(loss.sum(), pixels)
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=tuple(pixels.shape)))
    with torch.no_grad():
        ahead, behind = (
            segmenter.attack_loss(pixels + sign * 1e-3 * direction, [BOXES[:2]], masks).item() for sign in (1, -1)
        )
    assert gradient.abs().sum() > 0
    assert (ahead - behind) / 2e-3 == pytest.approx((gradient * direction).sum().item(), rel=1e-3, abs=1e-7)


def test_the_loss_of_known_embeddings_is_the_same(network):
    segmenter = SamMed2dSegmenter(network)
    images = [picture(90, 70), picture(40, 50)]
    groups = [BOXES[:2], BOXES[:1]]
    masks = [truth_of(image, group) for image, group in zip(images, groups, strict=True)]
    with torch.no_grad():
        known = segmenter.encode(images)
        direct = segmenter.loss(images, groups, masks)
        cached = segmenter.loss([np.zeros(image.shape[:2], np.uint8) for image in images], groups, masks, known)
        attacked = segmenter.attack_loss(
            torch.from_numpy(images[0].transpose(2, 0, 1).copy())[None].float(), groups[:1], masks[:1]
        )
    assert torch.equal(direct, cached)
    alone = segmenter.loss(images[:1], groups[:1], masks[:1])
    assert attacked.item() == pytest.approx(alone.item(), rel=1e-6)


class TestCheckpoints:
    @pytest.fixture
    def file(self, tmp_path, network):
        """As the authors' training writes it: the optimiser itself lies beside the weights."""
        optimiser = torch.optim.Adam(network.parameters())
        sum(parameter.sum() for parameter in network.parameters()).backward()
        tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        optimiser.step()
        network.load_state_dict(tensors)
        network.zero_grad()
        torch.save({"model": tensors, "optimizer": optimiser}, tmp_path / "sam-med2d_b.pth")
        return tmp_path / "sam-med2d_b.pth"

    def test_is_read_whole(self, file, network):
        loaded = load_checkpoint(file, card_of(file), TINY)
        assert loaded.state_dict().keys() == network.state_dict().keys()
        tensors = network.state_dict()
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in loaded.state_dict().items())
        assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())

    def test_nothing_in_a_file_is_run(self, tmp_path):
        class Harmful:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "was_here",))

        torch.save({"model": {"a": torch.zeros(1)}, "optimizer": Harmful()}, tmp_path / "bad.pth")
        with pytest.raises(MedstressError, match=r"bad\.pth is not a readable file of tensors"):
            load_checkpoint(tmp_path / "bad.pth", card_of(tmp_path / "bad.pth"), TINY)
        assert not (tmp_path / "was_here").exists()

    def test_of_another_size_is_refused(self, file):
        with pytest.raises(MedstressError, match=r"is no SAM-Med2D: .*image_encoder\.blocks\.\d.* not in the file"):
            load(card_of(file))

    def test_of_an_original_sam_is_named(self, tmp_path, network):
        plain = {name: tensor for name, tensor in network.state_dict().items() if ".Adapter." not in name}
        torch.save(plain, tmp_path / "sam_vit_b.pth")
        with pytest.raises(MedstressError) as error:
            load_checkpoint(tmp_path / "sam_vit_b.pth", card_of(tmp_path / "sam_vit_b.pth"), TINY)
        assert "image_encoder.blocks.0.Adapter.channel.0.weight" in str(error.value)
        assert "adapter: sam" in str(error.value)

    def test_with_another_sha256_is_refused(self, file):
        right = hashlib.sha256(file.read_bytes()).hexdigest()
        load_checkpoint(file, card_of(file, sha256=right), TINY)
        with pytest.raises(MedstressError, match=f"has the sha256 {right}, but the card says 0000"):
            load_checkpoint(file, card_of(file, sha256="0" * 64), TINY)

    def test_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(MedstressError, match=r"there is no file .*nowhere\.pth"):
            load(card_of(tmp_path / "nowhere.pth"))


def test_bad_boxes_are_all_named(network):
    with pytest.raises(MedstressError) as error:
        SamMed2dSegmenter(network).predict([picture(40, 50)], [[(5.0, 5.0, 5.0, 9.0), (0.0, 0.0, 51.0, 9.0)]])
    assert "is empty" in str(error.value)
    assert "outside the image" in str(error.value)
