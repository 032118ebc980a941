"""MedSAM: pixels and masks as its authors' inference script makes them."""

import numpy as np
import pytest
import torch
from skimage import transform
from torch.nn import functional

from medstress.errors import MedstressError
from medstress.models.registry import load_segmenter
from medstress.models.segmentation.medsam import MedSamPixels, load
from tests.conftest import embedded_image, in_colour
from tests.models.sam_files import BOXES, SIDE, colour, grey, medsam_card, tiny_original


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "medsam.pth"
    torch.save(tiny_original(), path)
    return path


def authors_levels(image, side):
    """What the authors' script makes of an image, [side, side, 3], before it cuts to whole grey levels."""
    three = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return transform.resize(three, (side, side), order=3, preserve_range=True, anti_aliasing=True)


def authors_pixels(image, side):
    """What the authors' script gives to the encoder, [3, side, side]."""
    small = authors_levels(image, side).astype(np.uint8)
    unit = (small - small.min()) / max(small.max() - small.min(), 1e-8)
    return torch.tensor(unit).float().permute(2, 0, 1)


def authors_masks(model, image, boxes, side):
    """The rest of the script: boxes by the image's sides, probabilities resized to the image, cut at one half."""
    height, width = image.shape[:2]
    with torch.inference_mode():
        embedding = model.vision_encoder(authors_pixels(image, side)[None]).last_hidden_state
        inclusive = np.array(boxes) - [0, 0, 1, 1]
        corners = torch.tensor(inclusive / [width, height, width, height] * side).float()
        low = model(
            image_embeddings=embedding.expand(len(boxes), -1, -1, -1),
            input_boxes=corners[:, None],
            multimask_output=False,
        ).pred_masks[:, 0]
        return functional.interpolate(low.sigmoid(), (height, width), mode="bilinear", align_corners=False)[:, 0]


IMAGES = {
    "square": lambda: embedded_image("nuclei"),
    "tall": lambda: embedded_image("brain_anatomy"),
    "colour": lambda: in_colour(embedded_image("brain_anatomy")),
    "noise": lambda: colour(150, 70),
    "larger": lambda: grey(300, 411),
    "dim": lambda: (grey(80, 60) // 8 + 40).astype(np.uint8),
}


@pytest.mark.parametrize("side", [SIDE, 160])
@pytest.mark.parametrize("name", list(IMAGES))
def test_pixels_are_those_of_the_authors(name, side):
    image = IMAGES[name]()
    ours, theirs = MedSamPixels(side).pixels(image), authors_pixels(image, side)
    assert ours.dtype == torch.float32
    assert (ours.min(), ours.max()) == (0, 1)
    # Where the level is whole, in flat parts, theirs may be one lower: their sums end a hair below.
    levels = torch.from_numpy(authors_levels(image, side)).permute(2, 0, 1)
    whole = (levels - levels.round()).abs() < 1e-9
    assert torch.equal(ours[~whole], theirs[~whole])
    assert ((ours - theirs) * np.ptp(image)).abs().max() < 1.5
    assert whole.float().mean() < 0.1 or name in ("tall", "colour")  # black around the head


def test_a_value_that_is_whole_is_not_cut_to_the_one_below():
    levels = np.array([[0, 100], [200, 255]], np.uint8).repeat(SIDE // 2, 0).repeat(SIDE // 2, 1)
    assert torch.equal(MedSamPixels(SIDE).pixels(levels)[1] * 255, torch.from_numpy(levels).float())
    assert (MedSamPixels(SIDE).pixels(np.full((20, 30), 77, np.uint8)) == 0).all()


# Without the one whose flat parts differ by a level: to random weights, that is another image.
@pytest.mark.parametrize("name", [name for name in IMAGES if name != "colour"])
def test_masks_are_those_of_the_authors(weights, name):
    ours, image = load(medsam_card(weights)), IMAGES[name]()
    theirs = authors_masks(ours.model, image, BOXES, SIDE)
    assert theirs.std() > 0.05
    (masks,) = ours.predict([image], [BOXES])
    sure = ((theirs - 0.5).abs() > 1e-5).numpy()
    assert sure.mean() > 0.99
    assert np.array_equal(np.stack(masks)[sure], (theirs > 0.5).numpy()[sure])
    with torch.inference_mode():
        frame = ours.preprocessing.frame(image)
        low = ours.decode(ours.encode([image]).expand(3, -1, -1, -1), [frame] * 3, BOXES)
        torch.testing.assert_close(ours.to_image_logits(low, frame).sigmoid(), theirs, atol=1e-5, rtol=0)


def test_logits_keep_a_gradient_where_the_answer_is_sure():
    low = torch.tensor([[[-60.0, 60.0], [30.0, -30.0]]], requires_grad=True)
    path = MedSamPixels(SIDE)
    logits = path.to_image(low, path.frame(np.zeros((2, 2), np.uint8)))
    torch.testing.assert_close(logits, low)
    logits.sum().backward()
    torch.testing.assert_close(low.grad, torch.ones_like(low))


def test_it_loads_through_the_registry_and_does_not_depend_on_company(weights):
    ours = load_segmenter(medsam_card(weights))
    images = [grey(), colour(50, 80), grey(70, 50)]
    boxes = [BOXES, [], [BOXES[1], BOXES[2]]]
    together = ours.predict(images, boxes)
    assert [len(masks) for masks in together] == [3, 0, 2]
    for image, group, masks in zip(images, boxes, together, strict=True):
        for box, mask in zip(group, masks, strict=True):
            assert np.array_equal(ours.predict([image], [[box]])[0][0], mask)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        MedstressError, match=r"model card med: weights 'medsam_vit_b.pth': there is no folder and no file"
    ):
        load(medsam_card("medsam_vit_b.pth"), tmp_path)
