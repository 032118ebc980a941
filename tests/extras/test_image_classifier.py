"""Plain classifiers of timm and torchvision: equal to their own models, and square images as torchvision makes them."""

import re

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image as Picture
from safetensors.torch import save_file
from torchvision import transforms

from medstress.cards.classifier import ImageClassifier
from medstress.errors import MedstressError
from medstress.models.zeroshot.load import load_classifier
from tests.extras.clip_files import pictures

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINDS = {
    "resnet": ("torchvision", "resnet18", lambda: torchvision.models.resnet18(num_classes=3)),
    "squeezenet": ("torchvision", "squeezenet1_1", lambda: torchvision.models.squeezenet1_1(num_classes=3)),
    "vit": (
        "timm",
        "vit_tiny_patch16_224",
        lambda: timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=64),
    ),
    "timm_resnet": ("timm", "resnet10t", lambda: timm.create_model("resnet10t", num_classes=3)),
}


def card(path, library, architecture, **settings):
    said = {"side": 64, "classes": ["x", "y", "z"], "batch": 3} | settings
    return ImageClassifier(
        name="a",
        title="A",
        adapter="image_classifier",
        library=library,
        architecture=architecture,
        weights=str(path),
        device="cpu",
        **said,
    )


@pytest.fixture(scope="module", params=list(KINDS))
def both(request, tmp_path_factory):
    """The adapter, and the package's own model with the same weights."""
    library, architecture, build = KINDS[request.param]
    torch.manual_seed(3)
    reference = build().eval()
    folder = tmp_path_factory.mktemp(request.param)
    state = reference.state_dict()
    path = folder / ("weights.safetensors" if request.param == "vit" else "weights.pth")
    if path.suffix == ".pth":
        torch.save({"net": {f"module.{name}": value for name, value in state.items()}}, path)
    else:
        save_file(state, path)
    return load_classifier(card(path, library, architecture)), reference


def test_logits_equal_those_of_the_package(both):
    model, reference = both
    prepare = transforms.Compose(
        [
            transforms.Resize((64, 64), transforms.InterpolationMode.BICUBIC),
            transforms.Lambda(lambda picture: picture.convert("RGB")),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    inputs = torch.stack([prepare(Picture.fromarray(image)) for image in pictures()])
    with torch.inference_mode():
        wanted = reference(inputs).numpy()
    assert torch.allclose(model.inputs(pictures()), inputs, atol=1e-6)
    assert np.abs(model.embed(pictures()) - wanted).max() < 1e-5
    assert wanted.shape == (5, 3) and wanted.std() > 1e-3


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(both):
    model, _ = both
    together = model.embed(pictures())
    assert np.array_equal(together, np.concatenate([model.embed([image]) for image in pictures()]))


def test_gradients_reach_the_pixels(both):
    model, _ = both
    image = pictures()[0]
    pixels = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None].requires_grad_()
    inputs = model.differentiable_inputs(pixels)
    assert torch.allclose(inputs, model.inputs([image]), atol=1e-6)
    model.features(inputs)[0, 0].backward()
    assert pixels.grad.abs().max() > 0


def test_lora_may_go_where_the_image_goes_through(both):
    model, reference = both
    modules, called = dict(model.model.named_modules()), set()
    patterns = [pattern for pattern in vars(model.targets).values() if pattern]
    matched = {name for name in modules if any(re.fullmatch(pattern, name) for pattern in patterns)}
    handles = [modules[name].register_forward_hook(lambda *_, name=name: called.add(name)) for name in matched]
    model.embed(pictures()[:1])
    for handle in handles:
        handle.remove()
    assert called == matched != set()
    convolutions = {name for name, module in reference.named_modules() if isinstance(module, torch.nn.Conv2d)}
    short = {name for name in convolutions if "downsample" in name}
    assert matched == convolutions - short or (model.targets.qkv and len(matched) == 4 * 12)


def test_what_is_wrong_is_said(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(torchvision.models.squeezenet1_1(num_classes=3).state_dict(), path)

    def refused(architecture, library="torchvision", **settings):
        with pytest.raises(MedstressError) as error:
            load_classifier(card(path, library, architecture, **settings))
        return str(error.value)

    said = refused("squeezenet1_1", classes=["x", "y"])
    assert "does not fit torchvision's squeezenet1_1 with 2 classes and 64 pixels" in said
    assert said.endswith("classifier.1.bias, classifier.1.weight of another shape.")
    assert "torchvision has no image classifier called 'fasterrcnn_resnet50_fpn'" in refused("fasterrcnn_resnet50_fpn")
    assert "timm has no image classifier called 'hf_hub:timm/resnet50'" in refused("hf_hub:timm/resnet50", "timm")
