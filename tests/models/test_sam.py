"""The SAM adapter: the same numbers as transformers' own code, whatever is asked together, and clear refusals."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from medstress.cards.segmenter import Sam
from medstress.errors import MedstressError
from medstress.models.registry import load_segmenter
from medstress.models.segmentation.sam import load
from medstress.models.segmentation.sam_preprocess import box_masks, read_preprocessing
from tests.conftest import ROOT, embedded_image, in_colour
from tests.models.sam_files import SIDE, grey, sam_card, tiny_model

sys.path.insert(0, str(ROOT / "resources"))
from tiny_sam_data import TRAINING_SETS, training_scenes

TINY_SAM = Sam.model_validate(yaml.safe_load((ROOT / "config/models/tiny_sam.yaml").read_text()))
FOLDER = ROOT / TINY_SAM.weights
BOXES = [(10.0, 5.0, 40.0, 60.0), (0.0, 0.0, 33.0, 29.0), (20.5, 30.25, 21.0, 50.0)]


@pytest.fixture(scope="module")
def segmenter():
    return load(TINY_SAM, ROOT)


@pytest.fixture(scope="module")
def random_folder(tmp_path_factory):
    """A small SAM with random weights of ordinary size, saved as transformers saves it."""
    folder = tmp_path_factory.mktemp("random_sam")
    tiny_model().save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    processor = SamImageProcessorPil(
        size={"longest_edge": SIDE}, pad_size=size, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.1]
    )
    processor.save_pretrained(folder)
    return folder


def logits_of(ours, image, boxes):
    """What `predict` thresholds: logits [n, H, W] of the boxes of one image."""
    frame = ours.preprocessing.frame(image)
    with torch.inference_mode():
        embedding = ours.encode([image]).expand(len(boxes), -1, -1, -1)
        return ours.to_image_logits(ours.decode(embedding, [frame] * len(boxes), boxes), frame)


def transformers_logits(model, folder, image, boxes, mask_prompt):
    """The same through transformers' processors and SamModel.forward, one box after another."""
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(folder))
    side = processor.target_size
    colour = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
    found = []
    for x0, y0, x1, y1 in boxes:
        corners = [[[x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)]]]
        inputs = processor(images=colour, input_boxes=corners, return_tensors="pt")
        sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
        if mask_prompt:
            frame = read_preprocessing(folder, side).frame(image)
            grid = 4 * model.config.prompt_encoder_config.image_embedding_size
            inputs["input_masks"] = torch.from_numpy(box_masks([(x0, y0, x1, y1)], [frame], side, grid))
        with torch.inference_mode():
            low = model(**inputs, multimask_output=False).pred_masks
        pad = {"height": side, "width": side}
        found.append(processor.image_processor.post_process_masks(low, *sizes, binarize=False, pad_size=pad)[0][0, 0])
    return torch.stack(found)


IMAGES = {
    "square": lambda: embedded_image("nuclei"),
    "tall": lambda: embedded_image("brain_anatomy"),
    "wide": grey,
    "colour": lambda: in_colour(grey(150, 70)),
    "larger_than_the_input": lambda: grey(300, 411),
}


@pytest.mark.parametrize("name", list(IMAGES))
def test_logits_of_the_shipped_weights_are_those_of_transformers(segmenter, name):
    image = IMAGES[name]()
    model = SamModel.from_pretrained(FOLDER).eval()
    theirs = transformers_logits(model, FOLDER, image, BOXES, mask_prompt=True)
    assert theirs.std() > 0.1
    torch.testing.assert_close(logits_of(segmenter, image, BOXES), theirs, atol=1e-5, rtol=0)
    (masks,) = segmenter.predict([image], [BOXES])
    sure = (theirs.abs() > 1e-4).numpy()
    assert np.array_equal(np.stack(masks)[sure], (theirs > 0).numpy()[sure])


@pytest.mark.parametrize("mask_prompt", [False, True])
@pytest.mark.parametrize("name", list(IMAGES))
def test_logits_of_any_checkpoint_are_those_of_transformers(random_folder, name, mask_prompt):
    ours, image = load(sam_card(random_folder, mask_prompt=mask_prompt)), IMAGES[name]()
    theirs = transformers_logits(
        SamModel.from_pretrained(random_folder).eval(), random_folder, image, BOXES, mask_prompt
    )
    assert theirs.std() > 0.1
    torch.testing.assert_close(logits_of(ours, image, BOXES), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes", [{}, {"do_normalize": False}, {"do_normalize": False, "do_rescale": False}, {"rescale_factor": 0.01}]
)
@pytest.mark.parametrize("whole", [False, True])
def test_pixels_are_those_of_the_checkpoints_own_processor(tmp_path, changes, whole):
    size = {"height": SIDE, "width": SIDE}
    theirs = SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size=size, **changes)
    (SamProcessor(theirs) if whole else theirs).save_pretrained(tmp_path)
    how = read_preprocessing(tmp_path, SIDE)
    for image in (make() for make in IMAGES.values()):
        colour = image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
        answer = theirs(images=colour, return_tensors="np")
        assert np.array_equal(how.pixels(image), answer["pixel_values"][0])
        frame = how.frame(image)
        assert (frame.scaled_height, frame.scaled_width) == tuple(answer["reshaped_input_sizes"][0])


def test_without_a_processor_file_the_values_are_sams_own(tmp_path):
    assert read_preprocessing(tmp_path, 1024) == read_preprocessing(
        save_processor(tmp_path, SamImageProcessorPil()), 1024
    )


def save_processor(folder, processor):
    processor.save_pretrained(folder)
    return folder


def test_a_mask_prompt_is_the_box_at_low_resolution(segmenter):
    frame = segmenter.preprocessing.frame(grey(128, 128))  # 256 input pixels, 128 cells: a cell is a pixel
    (prompt,) = box_masks([(10, 20, 30.5, 40)], [frame], 256, 128)[0]
    inside = np.zeros((128, 128), bool)
    inside[20:40, 10:30] = True
    assert (prompt[inside] == 4).all()
    assert (prompt[20:40, 30] == 0).all()  # half covered
    inside[20:40, 30] = True
    assert (prompt[~inside] == -4).all()


@pytest.mark.parametrize("batch", [1, 3])
def test_batched_equals_single_bit_for_bit(random_folder, segmenter, batch):
    images = [make() for make in IMAGES.values()]
    boxes = [BOXES, BOXES[:1], [], [*BOXES, *BOXES], BOXES[1:]]
    for ours in (load(sam_card(random_folder, batch=batch)), load(TINY_SAM.model_copy(update={"batch": batch}), ROOT)):
        with torch.inference_mode():
            together = [logits for _, logits in ours._logits(images, boxes)]
            alone = [
                logits
                for image, group in zip(images, boxes, strict=True)
                for box in group
                for _, logits in ours._logits([image], [[box]])
            ]
        assert len(together) == len(alone) == 12
        assert all(torch.equal(left, right) for left, right in zip(together, alone, strict=True))
        backwards = ours.predict(images[::-1], boxes[::-1])[::-1]
        for left, right in zip(ours.predict(images, boxes), backwards, strict=True):
            assert len(left) == len(right)
            assert all(np.array_equal(*pair) for pair in zip(left, right, strict=True))


def test_each_image_is_encoded_once_whatever_the_number_of_boxes(random_folder):
    ours = load(sam_card(random_folder, batch=1))
    seen = []
    ours.model.vision_encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    images = [grey(seed=index) for index in range(5)]
    answers = ours.predict(images, [BOXES * 5, [], BOXES, BOXES[:1], []])
    assert [len(masks) for masks in answers] == [15, 0, 3, 1, 0]
    assert seen == [1, 1, 1]  # and images without a box not at all
    seen.clear()
    load(sam_card(random_folder, batch=2)).predict(images, [[]] * 5)
    assert seen == []


def test_more_images_than_are_held_at_a_time(random_folder):
    ours = load(sam_card(random_folder))
    images = [grey(40, 40, seed=index) for index in range(43)]
    masks = ours.predict(images, [BOXES[1:2]] * 43)
    assert np.array_equal(masks[42][0], ours.predict(images[42:], [BOXES[1:2]])[0][0])


def test_the_loss_takes_the_path_of_predict_and_reaches_every_part(random_folder):
    ours = load(sam_card(random_folder, mask_prompt=True))
    images, boxes = [grey(), grey(70, 50, 2)], [BOXES, BOXES[:1]]
    masks = ours.predict(images, boxes)
    right = ours.loss(images, boxes, masks)
    wrong = ours.loss(images, boxes, [[~mask for mask in group] for group in masks])
    assert right < wrong
    right.backward()
    for part in (
        "vision_encoder.layers.0",
        "prompt_encoder.mask_embed.conv1",
        "mask_decoder.output_hypernetworks_mlps.0",
    ):
        assert all(
            item.grad.abs().sum() > 0 for item in ours.model.get_submodule(part).parameters() if item.grad is not None
        )
        assert any(item.grad is not None for item in ours.model.get_submodule(part).parameters())


def test_a_model_in_training_mode_gives_no_answers(random_folder):
    ours = load(sam_card(random_folder))
    ours.model.train()
    with pytest.raises(AssertionError, match="eval mode"):
        ours.predict([grey()], [BOXES])


def test_threads_are_those_of_the_card(random_folder):
    load(sam_card(random_folder, threads=2))
    assert torch.get_num_threads() == 2
    load(sam_card(random_folder))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((10, 10, 10, 20), r"image 1 of 2: box \(10, 10, 10, 20\) is empty"),
        ((10, 10, float("nan"), 20), "is empty; expected x0 < x1"),
        ((100, 10, 120.5, 20), r"box \(100, 10, 120.5, 20\) reaches outside the image of 120 x 90 pixels"),
        ((-1, 10, 12, 20), "reaches outside"),
    ],
)
def test_bad_boxes_are_named(segmenter, box, said):
    with pytest.raises(MedstressError, match=said):
        segmenter.predict([grey(), grey()], [[], [BOXES[0], box]])
    with pytest.raises(MedstressError, match=said):
        segmenter.loss([grey(), grey()], [[], [box]], [[], [np.ones((90, 120), bool)]])


def test_all_bad_boxes_are_named_at_once(segmenter):
    with pytest.raises(MedstressError, match=r"image 0 of 1: .*empty.*\nimage 0 of 1: .*outside"):
        segmenter.predict([grey()], [[(3, 3, 3, 3), (0, 0, 200, 5)]])


def test_an_image_without_a_box_has_no_masks_and_nothing_to_learn(segmenter):
    assert segmenter.predict([grey()], [[]]) == [[]]
    assert segmenter.predict([], []) == []
    with pytest.raises(MedstressError, match="no image of the batch has a box"):
        segmenter.loss([grey()], [[]], [[]])


def broken_config(folder):
    (folder / "config.json").write_text('{"model_type": ')


def other_kind(folder):
    (folder / "config.json").write_text('{"model_type": "vit"}')


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def a_tensor_less(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["vision_encoder.neck.conv1.weight"]
    save_file(weights, path, {"format": "pt"})


def a_tensor_more(folder):
    path = folder / "model.safetensors"
    save_file(load_file(path) | {"adapter.scale": torch.ones(1)}, path, {"format": "pt"})


def another_shape(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["output_channels"] = 16
    config["vision_config"]["hidden_size"] = 48
    (folder / "config.json").write_text(json.dumps(config))


def no_number(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["hidden_size"] = "wide"
    (folder / "config.json").write_text(json.dumps(config))


def another_size(folder):
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace(f'"longest_edge": {SIDE}', '"longest_edge": 1024'))


def nearest(folder):
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"resample": 2', '"resample": 0'))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (broken_config, "config.json is not readable as JSON"),
        (other_kind, "model_type 'vit'; adapter sam reads 'sam'"),
        (no_weights, "model.safetensors not found in"),
        (truncated, "not loadable"),
        (a_tensor_less, "vision_encoder.neck.conv1.weight not in the file"),
        (a_tensor_more, "adapter.scale unknown to the model"),
        (
            another_shape,
            r"vision_encoder\.[\w.]+, vision_encoder\.[\w.]+, vision_encoder\.[\w.]+ and \d+ more of another shape",
        ),
        (no_number, "not loadable.*hidden_size"),
        (another_size, "size.longest_edge is 1024, but the model takes 64 pixels"),
        (nearest, "resample is 0; only 2"),
    ],
)
def test_a_wrong_checkpoint_is_refused(random_folder, tmp_path, harm, said):
    folder = tmp_path / "sam"
    shutil.copytree(random_folder, folder)
    harm(folder)
    with pytest.raises(MedstressError, match=said) as caught:
        load(sam_card(folder))
    assert str(folder) in str(caught.value)


def test_a_missing_folder_and_another_sha256_are_refused(random_folder, tmp_path):
    with pytest.raises(MedstressError, match="model card other: weights 'sam_vit_b': there is no folder"):
        load(sam_card("sam_vit_b"), tmp_path)
    with pytest.raises(MedstressError, match=r"has the sha256 [0-9a-f]{64}, but the card says aaaa"):
        load(sam_card(random_folder, sha256="a" * 64))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(random_folder):
    with pytest.raises(MedstressError, match=r"model card other: device is cuda, but .* sees no GPU"):
        load(sam_card(random_folder, device="cuda"))
    assert load(sam_card(random_folder, device="auto")).device.type == "cpu"


def test_the_card_loads_through_the_registry_and_is_small(monkeypatch):
    monkeypatch.chdir(ROOT)
    ours = load_segmenter(TINY_SAM)
    assert 1e6 < sum(item.numel() for item in ours.model.parameters()) < 3e6
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8 * 2**20


def test_no_lesion_and_no_held_out_image_gave_gradients():
    used = {scene.name for pictures in training_scenes().values() for scene in pictures}
    allowed = set()
    for dataset in ("brain_anatomy", "nuclei"):
        lines = (ROOT / "resources/embedded" / dataset / "sheet.csv").read_text().splitlines()
        rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
        allowed |= {f"{dataset}/{Path(row['image']).stem}" for row in rows if row["split"] == "train"}
    assert set(TRAINING_SETS) == {"brain_anatomy", "nuclei"}
    assert used == allowed
    assert len(used) == 16


@pytest.mark.parametrize("dataset", ["nuclei", "lung_ct_tumour"])
def test_it_beats_the_box_where_the_object_can_be_seen(segmenter, dataset):
    from tiny_sam_data import scenes

    pictures = scenes(dataset, "test")
    answers = segmenter.predict([scene.image for scene in pictures], [scene.boxes for scene in pictures])
    gains = [
        (answer & mask).sum() / (answer | mask).sum() - mask.sum() / ((x1 - x0) * (y1 - y0))
        for scene, masks in zip(pictures, answers, strict=True)
        for answer, mask, (x0, y0, x1, y1) in zip(masks, scene.masks, scene.boxes, strict=True)
    ]
    assert np.mean(gains) > 0.03
