"""Points, several masks and embeddings that are known: the numbers of transformers' own code."""

import re

import pytest
import torch
from transformers import SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from medstress.models.segmentation import sam
from tests.models.sam_files import BOXES, SIDE, colour, grey, sam_card, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam")
    tiny_model().save_pretrained(folder)
    SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def low_logits(ours, image):
    frame = ours.preprocessing.frame(image)
    with torch.inference_mode():
        return ours.decode(ours.encode([image]).expand(len(BOXES), -1, -1, -1), [frame] * len(BOXES), BOXES)


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("prompt", ["box", "point"])
def test_prompts_are_those_of_transformers(folder, prompt, multimask):
    image = colour()
    ours = sam.load(sam_card(folder, prompt=prompt, multimask=multimask))
    model, processor = (
        SamModel.from_pretrained(folder).eval(),
        SamProcessor(SamImageProcessorPil.from_pretrained(folder)),
    )
    found = low_logits(ours, image)
    assert found.std() > 0.1
    chosen = set()
    for (x0, y0, x1, y1), logits in zip(BOXES, found, strict=True):
        asked = (
            {"input_boxes": [[[x0, y0, x1 - 1, y1 - 1]]]}
            if prompt == "box"
            else {"input_points": [[[[(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2]]]]}
        )
        inputs = processor(images=image, return_tensors="pt", **asked)
        del inputs["original_sizes"], inputs["reshaped_input_sizes"]
        with torch.inference_mode():
            answer = model(**inputs, multimask_output=multimask)
        scores = answer.iou_scores[0, 0]
        assert len(scores) == (3 if multimask else 1)
        chosen.add(int(scores.argmax()))
        torch.testing.assert_close(logits, answer.pred_masks[0, 0, scores.argmax()], atol=1e-5, rtol=0)
    assert chosen != {0} or not multimask


def test_known_embeddings_give_the_same_loss_and_spare_the_encoder(folder):
    ours = sam.load(sam_card(folder))
    images, boxes = [grey(), grey(70, 50), grey()], [BOXES, BOXES[:1], []]
    truth = [[image > 99 for _ in group] for image, group in zip(images, boxes, strict=True)]
    embeddings = ours.encode(images)
    seen = []
    ours.model.vision_encoder.register_forward_hook(lambda *_: seen.append(1))
    known = ours.loss(images, boxes, truth, embeddings.detach())
    assert not seen
    assert torch.equal(known, ours.loss(images, boxes, truth))
    known.backward()
    grads = {name.split(".")[0] for name, item in ours.model.named_parameters() if item.grad is not None}
    assert grads == {"prompt_encoder", "mask_decoder", "shared_image_embedding"}
    alone = [
        ours.loss([image], [group], [masks]) for image, group, masks in zip(images[:2], boxes, truth, strict=False)
    ]
    torch.testing.assert_close(known, (3 * alone[0] + alone[1]) / 4)


def test_parts_name_what_they_say(folder):
    ours = sam.load(sam_card(folder))
    names = [name for name, _ in ours.model.named_parameters()]
    parts = ours.parts

    def of(pattern):
        return {name for name in names if re.match(pattern, name)}

    rest = set(names) - of(parts.encoder) - of(parts.decoder) - of(parts.prompt_encoder)
    assert rest == {"shared_image_embedding.positional_embedding"}
    assert {re.match(parts.blocks, name)[1] for name in of(parts.blocks)} == {"0", "1"}
    linear = [name for name, item in ours.model.named_modules() if isinstance(item, torch.nn.Linear)]

    def modules(pattern):
        return [name for name in linear if re.fullmatch(pattern, name)]

    assert [len(modules(getattr(parts, kind))) for kind in ("qkv", "encoder_outputs", "mlp_outputs")] == [2, 2, 2]
    attentions = {name.rsplit(".", 1)[0] for name in linear if name.startswith("mask_decoder") and "_proj" in name}
    assert len(attentions) == 7
    assert len(modules(parts.decoder_projections)) == 21
    assert parts.adapters is None
