"""Original checkpoints through transformers: the logits of the segment_anything package, and MedSAM's script on it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from medstress.models.segmentation import medsam, sam
from medstress.models.segmentation.sam_original import config_of, empty_model, original_name
from tests.models.sam_files import BOXES, SIDE, colour, grey, medsam_card, original_layout, sam_card

package = pytest.importorskip("segment_anything", reason="in the second environment only: the extra `sam`")
parts = pytest.importorskip("segment_anything.modeling")

IMAGES = {"wide": lambda: in_three(grey()), "tall": lambda: colour(150, 70), "small": lambda: colour(31, 55)}


def in_three(image):
    return np.repeat(image[..., None], 3, axis=2)


def boxes_in(image):
    """Boxes inside an image of any size."""
    height, width = image.shape[:2]
    return [tuple(np.array(box) / [120, 90, 120, 90] * [width, height, width, height]) for box in BOXES]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A SAM of 64 x 64 pixels made of the package's own classes with random weights, and its file."""
    torch.manual_seed(2)
    channels = 16
    model = parts.Sam(
        image_encoder=parts.ImageEncoderViT(
            depth=3,
            embed_dim=24,
            img_size=SIDE,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=2,
            patch_size=8,
            use_rel_pos=True,
            global_attn_indexes=(1,),
            window_size=3,
            out_chans=channels,
        ),
        prompt_encoder=parts.PromptEncoder(channels, (SIDE // 8, SIDE // 8), (SIDE, SIDE), mask_in_chans=8),
        mask_decoder=parts.MaskDecoder(
            transformer=parts.TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=32, num_heads=8),
            transformer_dim=channels,
            iou_head_hidden_dim=24,
        ),
    ).eval()
    with torch.no_grad():
        for name, item in model.named_parameters():
            item.copy_(torch.randn_like(item) * 0.35 + (item.ndim == 1 and name.endswith("weight")))
    path = tmp_path_factory.mktemp("package") / "sam_tiny.pth"
    torch.save(model.state_dict(), path)
    return model, path


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("prompt", ["box", "point"])
@pytest.mark.parametrize("name", list(IMAGES))
def test_logits_are_those_of_the_packages_predictor(original, name, prompt, multimask):
    model, path = original
    ours, image = sam.load(sam_card(path, prompt=prompt, multimask=multimask)), IMAGES[name]()
    predictor = package.SamPredictor(model)
    predictor.set_image(image)
    boxes = boxes_in(image)
    with torch.inference_mode():
        frame = ours.preprocessing.frame(image)
        embeddings = ours.encode([image])
        torch.testing.assert_close(embeddings, predictor.features, atol=1e-4, rtol=0)
        low = ours.decode(embeddings.expand(3, -1, -1, -1), [frame] * 3, boxes)
        found = ours.to_image_logits(low, frame).numpy()
    for (x0, y0, x1, y1), logits in zip(boxes, found, strict=True):
        corners = np.array([x0, y0, x1 - 1, y1 - 1])
        asked = (
            {"box": corners}
            if prompt == "box"
            else {"point_coords": corners.reshape(2, 2).mean(0)[None], "point_labels": np.ones(1)}
        )
        theirs, scores, _ = predictor.predict(multimask_output=multimask, return_logits=True, **asked)
        assert theirs.std() > 0.1
        assert np.abs(logits - theirs[scores.argmax()]).max() < 1e-4


@pytest.mark.parametrize("name", list(IMAGES))
def test_medsam_is_its_script_on_the_package(original, name):
    from skimage import transform

    model, path = original
    ours, image = medsam.load(medsam_card(path)), IMAGES[name]()
    boxes, (height, width) = boxes_in(image), image.shape[:2]
    small = transform.resize(image, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    unit = torch.tensor((small - small.min()) / (small.max() - small.min())).float().permute(2, 0, 1)[None]
    corners = (np.array(boxes) - [0, 0, 1, 1]) / [width, height, width, height] * SIDE
    with torch.inference_mode():
        sparse, dense = model.prompt_encoder(None, torch.as_tensor(corners, dtype=torch.float)[:, None], None)
        low, _ = model.mask_decoder(
            model.image_encoder(unit), model.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False
        )
        frame = ours.preprocessing.frame(image)
        found = ours.decode(ours.encode([image]).expand(3, -1, -1, -1), [frame] * 3, boxes)
    assert low.std() > 0.1
    assert (found - low[:, 0]).abs().max() < 1e-4
    shares = functional.interpolate(low.sigmoid(), (height, width), mode="bilinear", align_corners=False)[:, 0]
    sure = ((shares - 0.5).abs() > 1e-4).numpy()
    (masks,) = ours.predict([image], [boxes])
    assert np.array_equal(np.stack(masks)[sure], (shares > 0.5).numpy()[sure])


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (package.build_sam_vit_b, (768, 12, 12, {2, 5, 8, 11})),
        (package.build_sam_vit_l, (1024, 24, 16, {5, 11, 17, 23})),
        (package.build_sam_vit_h, (1280, 32, 16, {7, 15, 23, 31})),
    ],
)
def test_the_published_sizes_have_the_names_and_shapes_that_we_expect(build, size):
    with torch.device("meta"):
        state = build().state_dict()
    shapes = {name: tuple(item.shape) for name, item in state.items()}
    assert shapes == original_layout(*size)
    converted = empty_model(config_of(state)).state_dict()
    assert shapes == {original_name(name, iou_depth=3): tuple(item.shape) for name, item in converted.items()}
