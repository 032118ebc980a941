"""Original checkpoints (.pth): every tensor arrives where it belongs, and what is no SAM is refused by name."""

import hashlib
from pathlib import Path

import pytest
import torch
from transformers import SamModel

from medstress.errors import MedstressError
from medstress.models.registry import weight_files
from medstress.models.segmentation import medsam, sam
from medstress.models.segmentation.sam_original import config_of, empty_model, original_name
from tests.models.sam_files import BOXES, grey, medsam_card, original_layout, sam_card, tiny_model, tiny_original

SIZES = {
    "b": (768, 12, 12, (2, 5, 8, 11), 93_735_472),
    "l": (1024, 24, 16, (5, 11, 17, 23), 312_342_832),
    "h": (1280, 32, 16, (7, 15, 23, 31), 641_090_608),
}


@pytest.fixture
def path(tmp_path):
    torch.save(tiny_original(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def saved(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    return tmp_path / "other.pth"


@pytest.mark.parametrize("size", list(SIZES))
def test_the_published_layouts_map_one_to_one(size):
    width, depth, heads, whole, parameters = SIZES[size]
    layout = original_layout(width, depth, heads, set(whole))
    config = config_of({name: torch.empty(shape, device="meta") for name, shape in layout.items()})
    model = empty_model(config)
    shapes = {original_name(name, iou_depth=3): tuple(item.shape) for name, item in model.state_dict().items()}
    assert shapes == layout
    vision = config.vision_config
    assert (vision.num_attention_heads, vision.global_attn_indexes) == (heads, list(whole))
    assert (vision.image_size, vision.window_size) == (1024, 14)
    # As the authors count them: the random frequencies of the positions are no parameters there.
    assert sum(item.numel() for item in model.parameters()) - 2 * 128 == parameters


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state, "epoch": 7}])
def test_every_tensor_arrives(tmp_path, wrap):
    state = tiny_original()
    model = sam.load(sam_card(saved(tmp_path, wrap(state)))).model
    arrived = {original_name(name, iou_depth=3): item for name, item in model.state_dict().items()}
    assert arrived.keys() == state.keys()
    assert all(torch.equal(arrived[name], item) for name, item in state.items())
    assert (
        model.prompt_encoder.shared_embedding.positional_embedding is model.shared_image_embedding.positional_embedding
    )
    assert model.config.mask_decoder_config.layer_norm_eps == 1e-5  # and not transformers' default


def test_half_precision_files_are_read_as_float32(tmp_path):
    state = {name: item.half() for name, item in tiny_original().items()}
    model = sam.load(sam_card(saved(tmp_path, state))).model
    assert {item.dtype for item in model.parameters()} == {torch.float32}


def test_answers_are_those_of_the_same_weights_in_a_folder(path, tmp_path):
    ours = sam.load(sam_card(path))
    ours.model.save_pretrained(tmp_path / "folder")
    other = sam.load(sam_card(tmp_path / "folder"))
    frames = [ours.preprocessing.frame(grey())] * len(BOXES)
    with torch.inference_mode():
        found, again = (
            one.decode(one.encode([grey()]).expand(len(BOXES), -1, -1, -1), frames, BOXES) for one in (ours, other)
        )
    assert found.std() > 0.1
    assert torch.equal(found, again)


def test_pytorch_files_of_a_folder_are_read_as_data(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path / "safe")
    model.config.save_pretrained(tmp_path / "bin")
    weights = {name: item for name, item in model.state_dict().items() if not name.startswith("prompt_encoder.shared")}
    torch.save(weights, tmp_path / "bin" / "pytorch_model.bin")
    ours, safe = (sam.load(sam_card(tmp_path / name)).model for name in ("bin", "safe"))
    assert all(torch.equal(item, safe.state_dict()[name]) for name, item in ours.state_dict().items())
    torch.save(weights | {"more": Path("abc")}, tmp_path / "bin" / "pytorch_model.bin")
    with pytest.raises(
        MedstressError, match=r"pytorch_model.bin is not loadable: it holds a pathlib.PosixPath, which is code"
    ):
        sam.load(sam_card(tmp_path / "bin"))


def test_files_that_answers_depend_on(path, tmp_path):
    assert weight_files(sam_card(path)) == [path]
    assert weight_files(sam_card(tmp_path / "nothing.pth")) == []
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("config.json", "pytorch_model.bin", "README.md", ".origin.json", ".fetched.json"):
        (folder / name).touch()
    assert [item.name for item in weight_files(medsam_card(folder))] == ["config.json", "pytorch_model.bin"]
    (folder / "model.safetensors").touch()
    assert [item.name for item in weight_files(medsam_card(folder))] == ["config.json", "model.safetensors"]


def with_adapters(state):
    return state | {
        f"image_encoder.blocks.{block}.Adapter.{name}": torch.ones(2)
        for block in range(2)
        for name in ("channel.0.weight", "spatial.0.weight")
    }


def without(name):
    return lambda state: {key: item for key, item in state.items() if key != name}


def of_transformers(_):
    return tiny_model().state_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            with_adapters,
            r"other.pth is no original SAM checkpoint: image_encoder.blocks.0.Adapter.channel.0.weight, "
            r"\S+, \S+ and 1 more unknown to a SAM. This looks like SAM-Med2D: write `adapter: sam_med2d`",
        ),
        (of_transformers, "not in the file. This looks like SAM in Hugging Face format: give the folder"),
        (lambda _: {"backbone.layer1.0.conv1.weight": torch.ones(1)}, "This looks like DeepLabV3"),
        (
            lambda _: {"mask_decoder.x.lora_A.default.weight": torch.ones(1)},
            "This looks like what a strategy trained",
        ),
        (without("mask_decoder.iou_token.weight"), "iou_token.weight not in the file. Get the file again"),
        (without("image_encoder.pos_embed"), "'image_encoder.pos_embed' not in the file. Get the file again"),
        (
            lambda state: state | {"mask_decoder.iou_token.weight": torch.ones(1, 17)},
            "mask_decoder.iou_token.weight of another shape",
        ),
        (lambda _: [1, 2], "holds no state dict"),
        (lambda state: {"weights": state}, "holds no state dict"),
        (lambda _: {"model": {}}, "holds no state dict"),
        (lambda _: Path("abc"), "it holds a pathlib.PosixPath, which is code and not data"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, change, said):
    path = saved(tmp_path, change(tiny_original()))
    with pytest.raises(MedstressError, match=said) as caught:
        sam.load(sam_card(path))
    assert str(path) in str(caught.value)


def test_a_sam_2_checkpoint_is_named_as_one(tmp_path):
    path = saved(tmp_path, {"image_encoder.trunk.pos_embed": torch.ones(1)})
    with pytest.raises(MedstressError, match="This looks like SAM 2, which no adapter reads"):
        medsam.load(medsam_card(path))


def test_broken_files_and_other_sha256_are_refused(path):
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    sam.load(sam_card(path, sha256=right))
    with pytest.raises(MedstressError, match=rf"tiny.pth has the sha256 {right}, but the card says aaaa"):
        medsam.load(medsam_card(path, sha256="a" * 64))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MedstressError, match=r"tiny.pth is not a readable file of tensors"):
        sam.load(sam_card(path))


def test_scaled_dot_product_attention_is_exact(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    ours = sam.load(sam_card(tmp_path))
    eager = SamModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert "Sdpa" in type(ours.model.vision_encoder.layers[0].attn).__name__
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        fast, plain = (model.vision_encoder(pixels).last_hidden_state for model in (ours.model, eager))
    assert plain.std() > 0.1
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=0)
