"""ResNet-50 in MedCLIP and RobustMedCLIP against torchvision's, and RobustMedCLIP's ViT against timm's."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import nn
from torch.nn import functional
from torchvision import transforms
from torchvision.models import resnet50

from medstress.errors import MedstressError
from medstress.models.zeroshot import medclip, robust_medclip
from medstress.models.zeroshot.biomedclip_towers import VisionTransformer
from medstress.models.zeroshot.robust_medclip_lora import HEADS, changed_layers, numbered_names, write_published_lora
from tests.models.medclip_files import (
    TEXTS,
    TOKENS,
    clinical,
    drawn,
    lora_pair,
    medclip_card,
    picture,
    robust_card,
    save_numbered,
    swin_release,
    under,
    write_words,
)

RANK = 4
IMAGES = [picture(90, 60), picture(225, 224, seed=2)]
PUBLISHED = r"conv1|layer\d\.\d+\.conv[123]"


class Parallel(nn.Module):
    """A convolution with the published low-rank path beside it: 1 x 1, then resized to the convolution's output."""

    def __init__(self, conv, pair):
        super().__init__()
        self.conv, (self.down, self.up) = conv, pair

    def forward(self, inputs):
        out = self.conv(inputs)
        low = functional.linear(functional.linear(inputs.movedim(1, 3), self.down), self.up).movedim(3, 1)
        return out + (low if low.shape == out.shape else functional.interpolate(low, out.shape[2:], mode="nearest"))


def network():
    """Drawn weights with running statistics of drawn images, without which values would grow from layer to layer."""
    torch.manual_seed(7)
    found = resnet50(weights=None)
    found.fc = nn.Linear(2048, 24, bias=False)
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        found.train()(torch.randn(2, 3, 224, 224))
    return found.eval()


@pytest.fixture(scope="module")
def resnet():
    return network()


@pytest.fixture(scope="module")
def text():
    return clinical()


@pytest.fixture(scope="module")
def medclip_folder(tmp_path_factory, resnet, text):
    folder = write_words(tmp_path_factory.mktemp("medclip"))
    tensors = under("vision_model.model.", resnet) | text.tensors("text_model.") | {"logit_scale": torch.tensor(2.5)}
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def robust_folder(tmp_path_factory, resnet, text):
    folder, tensors = write_words(tmp_path_factory.mktemp("rmedclip")), text.tensors("text_encoder.")
    pairs = lora_pairs(resnet)
    for name, tensor in resnet.state_dict().items():
        layer = name.removesuffix(".weight")
        place = f"lora_resnet.lora_medclip.model.{f'{layer}.conv.weight' if layer in pairs else name}"
        tensors[place] = tensor.clone()
    for index, (layer, (down, up)) in enumerate(pairs.items()):
        place = f"lora_resnet.lora_medclip.model.{layer}"
        tensors |= {f"{place}.linear_a.weight": down, f"{place}.linear_b.weight": up}
        tensors |= {f"lora_resnet.w_As.{index}.weight": down, f"lora_resnet.w_Bs.{index}.weight": up}
    torch.save(tensors, folder / "model.pth")
    save_numbered(folder / "lora_weights.safetensors", list(pairs.values()), resnet.fc.weight.detach())
    return folder


def lora_pairs(resnet):
    layers = {name: module for name, module in resnet.named_modules() if re.fullmatch(PUBLISHED, name)}
    return {
        name: tuple(tensor * 0.2 for tensor in lora_pair(layer.in_channels, layer.out_channels, RANK, index))
        for index, (name, layer) in enumerate(layers.items())
    }


def test_medclip_answers_as_torchvisions_resnet_does(medclip_folder, resnet, text):
    model = medclip.load(medclip_card(medclip_folder, vision="resnet50"))
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    with torch.inference_mode():
        expected = functional.normalize(resnet(model.inputs(IMAGES))).numpy()
        texts = torch.stack([text.features(tokens) for tokens in TOKENS]).numpy()
    np.testing.assert_allclose(model.embed(IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(model.embed_texts(TEXTS), texts, atol=1e-5)
    # Running statistics are used and not moved.
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.model.state_dict().items())
    found = [name for name, _ in model.model.named_modules() if re.fullmatch(model.targets.conv, name)]
    assert len(found) == 49


def test_robust_medclip_answers_as_the_published_forward_does(robust_folder):
    model = robust_medclip.load(robust_card(robust_folder, vision="resnet"))
    published = network()
    for name, pair in lora_pairs(published).items():
        place, _, leaf = name.rpartition(".")
        parent = published.get_submodule(place)
        setattr(parent, leaf, Parallel(getattr(parent, leaf), pair))
    with torch.inference_mode():
        inputs = model.inputs(IMAGES)
        expected = functional.normalize(published(inputs)).numpy()
        plain = functional.normalize(network()(inputs)).numpy()
    np.testing.assert_allclose(model.embed(IMAGES), expected, atol=1e-5)
    assert np.abs(expected - plain).max() > 0.01
    assert model.scale == 1.0


def test_published_lora_of_the_resnet_goes_round_in_circles(tmp_path, robust_folder):
    tensors = torch.load(robust_folder / "model.pth", weights_only=True)
    names = numbered_names(changed_layers(tensors, "resnet"), tensors, HEADS["resnet"])
    write_published_lora(tmp_path / "again.safetensors", names, tensors)
    before, after = load_file(robust_folder / "lora_weights.safetensors"), load_file(tmp_path / "again.safetensors")
    assert before.keys() == after.keys()
    assert {"w_a_048", "w_b_048", "fc_2048in_24out"} < after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_pair_with_two_values_is_refused(tmp_path, robust_folder):
    tensors = torch.load(robust_folder / "model.pth", weights_only=True)
    tensors["lora_resnet.w_As.3.weight"] = tensors["lora_resnet.w_As.3.weight"] + 1
    torch.save(tensors, tmp_path / "model.pth")
    with pytest.raises(MedstressError, match=r"lora_resnet.w_As.3.weight"):
        robust_medclip.load(robust_card(tmp_path, text=str(robust_folder), vision="resnet"))


def test_the_swins_file_is_no_resnet(tmp_path):
    swin_release(tmp_path)
    with pytest.raises(MedstressError, match="It looks like MedCLIP with vision: swin"):
        medclip.load(medclip_card(tmp_path, vision="resnet50"))


def test_images_go_in_as_the_releases_torchvision_transform_has_them(robust_folder):
    model = robust_medclip.load(robust_card(robust_folder, vision="resnet"))
    path = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    for image in (*IMAGES, picture(301, 500), picture(400, 224)):
        expected = path(transforms.ToPILImage()(image))
        torch.testing.assert_close(model.inputs([image])[0], expected, atol=1e-6, rtol=0)


def test_our_vit_has_timms_names_and_answers():
    timm = drawn(
        lambda: TimmVisionTransformer(img_size=48, embed_dim=128, depth=3, num_heads=2, mlp_ratio=2, num_classes=0), 1
    )
    ours = VisionTransformer(side=48, patch=16, width=128, depth=3, hidden=256).eval()
    ours.load_state_dict(timm.state_dict(), strict=True)
    inputs = torch.rand(3, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(ours(inputs), timm(inputs), atol=1e-5, rtol=0)
