"""Attacks on a data set: what is written, what stays untouched, and what a killed job leaves."""

import numpy as np
import pytest
import torch

from medstress.attack.segmentation import attack_segmenter
from medstress.config import Scoring
from medstress.errors import MedstressError
from medstress.journal import Journal
from medstress.models.predict import predict_dataset
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import decode_mask, decode_png
from medstress.records import ImageRow, PerturbedRow, PredictionRow, SampleRow, ScoreRow, read_rows
from medstress.score.segmentation import score_predictions
from medstress.specs import PredictSpec, ScoreSpec
from tests.attack.conftest import NetSegmenter, attack, picture, spec, write_records

LEVELS = [1, 3, 5]


def run(folder, records, segmenter, wanted, **options):
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "journal")
    kept = folder / "images.parquet"
    given = {"journal": journal, "code": "code", "kept": kept} | options
    pace = attack_segmenter(segmenter, wanted, *records, folder / "answers.parquet", **given)
    return pace, journal


def stored(folder):
    """The adversarial images: (attack, level, image id) to pixels."""
    return {
        (row.perturbation.split("@")[0], row.level, row.image_id): decode_png(row.png, where="").astype(int)
        for row in read_rows(folder / "images.parquet", PerturbedRow)
    }


def clean_images(records):
    return {row.image_id: decode_png(row.png, where="").astype(int) for row in read_rows(records[0], ImageRow)}


def mean_loss(segmenter, records, images, *, empty=False):
    """The mean loss over the images given by id, against the true masks or empty ones."""
    objects = {row.image_id: row.objects for row in read_rows(records[1], SampleRow)}
    losses = []
    for name, image in images.items():
        masks = [decode_mask(item.mask, *image.shape[:2]) & (not empty) for item in objects[name]]
        pixels = torch.from_numpy(image).float()
        pixels = pixels[None, None] if image.ndim == 2 else pixels.permute(2, 0, 1)[None]
        losses.append(segmenter.attack_loss(pixels, [[item.box for item in objects[name]]], [masks]).item())
    return np.mean(losses)


ALL = [
    attack("fgsm", keep_images=True),
    attack("pgd", keep_images=True),
    attack("pgd", name="pgd_often", momentum=1.0, restarts=2, keep_images=True),
    attack("pgd", name="pgd_empty", targeted=True, keep_images=True),
    attack("pgd", name="pgd_inside", region="inside_box", keep_images=True),
    attack("fgsm", name="fgsm_outside", region="outside_box", keep_images=True),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory, records):
    """Every kind of attack on the records, and the segmenter that was attacked."""
    folder = tmp_path_factory.mktemp("made")
    segmenter = NetSegmenter()
    weights = {name: value.clone() for name, value in segmenter.model.state_dict().items()}
    run(folder, records, segmenter, spec(*ALL))
    assert all(torch.equal(value, weights[name]) for name, value in segmenter.model.state_dict().items())
    assert all(value.grad is None and not value.requires_grad for value in segmenter.model.parameters())
    return folder, segmenter


def test_the_ball_holds_on_what_is_stored(made, records):
    clean = clean_images(records)
    images = stored(made[0])
    assert len(images) == len(ALL) * len(LEVELS) * 6
    for (_, level, name), image in images.items():
        assert image.shape == clean[name].shape
        assert 0 < np.abs(image - clean[name]).max() <= 2 * level


def test_a_larger_ball_is_never_kinder(made, records):
    folder, segmenter = made
    images, clean = stored(folder), clean_images(records)
    names = ("i0", "i1", "i2")
    for one in ALL:
        losses = [mean_loss(segmenter, records, {name: clean[name] for name in names}, empty=one.targeted)]
        for level in LEVELS:
            own = {name: images[one.name, level, name] for name in names}
            losses.append(mean_loss(segmenter, records, own, empty=one.targeted))
        assert losses == sorted(losses, reverse=one.targeted), one.name
        assert abs(losses[-1] - losses[0]) > 0.004, one.name


def test_local_attacks_stay_in_their_region(made, records):
    images, clean = stored(made[0]), clean_images(records)
    objects = {row.image_id: row.objects for row in read_rows(records[1], SampleRow)}
    for (name, _, image_id), image in images.items():
        inside = np.zeros(image.shape[:2], bool)
        for item in objects[image_id]:
            x0, y0, x1, y1 = map(int, item.box)
            inside[y0:y1, x0:x1] = True
        moved = (image != clean[image_id]).reshape(*inside.shape, -1).any(2)
        if name == "pgd_inside":
            assert not moved[~inside].any()
            assert moved[inside].mean() > 0.5
        elif name == "fgsm_outside":
            assert not moved[inside].any()
            assert moved[~inside].mean() > 0.5


def test_an_l2_attack_stays_in_its_ball_and_region(records, tmp_path):
    radii = {"norm": "l2", "epsilons": [20, 40, 60, 80, 100], "region": "inside_box", "keep_images": True}
    both = [attack("fgsm", **radii), attack("pgd", momentum=0.5, restarts=2, **radii)]
    run(tmp_path, records, NetSegmenter(), spec(*both, levels=[1, 3]))
    images, clean = stored(tmp_path), clean_images(records)
    assert len(images) == 2 * 2 * 6
    objects = {row.image_id: row.objects for row in read_rows(records[1], SampleRow)}
    for (_, level, name), image in images.items():
        moved = image - clean[name]
        assert 0.9 * 20 * level < np.linalg.norm(moved) <= 20 * level
        for item in objects[name]:
            x0, y0, x1, y1 = map(int, item.box)
            moved[y0:y1, x0:x1] = 0
        assert not moved.any()
    some = ("i0", "i1", "i2")
    before = mean_loss(NetSegmenter(), records, {name: clean[name] for name in some})
    for method in ("fgsm", "pgd"):
        after = mean_loss(NetSegmenter(), records, {name: images[method, 3, name] for name in some})
        assert after > before + 0.003


def test_a_targeted_attack_empties_the_answers(made):
    rows = read_rows(made[0] / "answers.parquet", PredictionRow)

    def pixels(name, level):
        asked = [row for row in rows if (row.perturbation, row.level) == (name, level) and row.sample_id == "s0"]
        return sum(decode_mask(row.mask, 24, 24).sum() for row in asked)

    assert pixels("pgd_empty", 5) < pixels("pgd_empty", 1)
    assert pixels("pgd_empty", 5) < pixels("pgd_inside", 5)


def test_rows_and_records(made, records):
    folder, _ = made
    rows = read_rows(folder / "answers.parquet", PredictionRow)
    cells = list(dict.fromkeys((row.perturbation, row.sample_id, row.level) for row in rows))
    expected = [(one.name, f"s{index}", level) for one in ALL for index in range(6) for level in LEVELS]
    assert cells == expected
    assert len(rows) == 2 * len(expected)
    assert {row.status for row in rows} <= {"ok", "empty"}
    clean = clean_images(records)
    for row in read_rows(folder / "images.parquet", PerturbedRow):
        assert row.perturbation.endswith("@net")
        assert (row.status, row.warp, row.valid, row.strength) == ("table", None, None, 2.0 * row.level)
        image = decode_png(row.png, where="")
        assert row.ssim == StructuralSimilarity(clean[row.image_id].astype(np.uint8))(image)


def test_answers_are_those_to_the_stored_images(made, records):
    folder, segmenter = made
    images = stored(folder)
    objects = {row.sample_id: (row.image_id, row.objects) for row in read_rows(records[1], SampleRow)}
    for row in read_rows(folder / "answers.parquet", PredictionRow)[::7]:
        image_id, items = objects[row.sample_id]
        image = images[row.perturbation, row.level, image_id].astype(np.uint8)
        (mask,) = segmenter.predict([image], [[items[int(row.object_id)].box]])[0]
        assert np.array_equal(decode_mask(row.mask, *image.shape[:2]), mask)


def test_what_is_kept_does_not_change_the_answers(made, records, tmp_path):
    run(tmp_path, records, NetSegmenter(), spec(*[one.model_copy(update={"keep_images": False}) for one in ALL]))
    assert (tmp_path / "answers.parquet").read_bytes() == (made[0] / "answers.parquet").read_bytes()
    assert stored(tmp_path) == {}


def test_batches_on_a_gpu_agree_with_single_images(made, records, tmp_path):
    segmenter = NetSegmenter()
    run(tmp_path, records, segmenter, spec(*ALL[:2]), batch=2)
    # Three grey images make a full batch and one that is filled up; one image of another size is alone.
    assert segmenter.sizes == {1, 2}
    single = {key: image for key, image in stored(made[0]).items() if key[0] in ("fgsm", "pgd")}
    batched = stored(tmp_path)
    assert batched.keys() == single.keys()
    assert np.mean([np.mean(batched[key] == single[key]) for key in single]) > 0.999


class Killed(BaseException):
    pass


class Mortal(NetSegmenter):
    """Dies at its n-th answer."""

    def __init__(self, life):
        super().__init__()
        self.life = life

    def predict(self, images, boxes):
        if self.asked == self.life:
            raise Killed
        return super().predict(images, boxes)


@pytest.mark.parametrize("keep", [True, False])
def test_a_killed_attack_goes_on_and_ends_on_the_same_bytes(records, tmp_path, keep):
    wanted = spec(attack("fgsm"), attack("pgd", restarts=2, keep_images=keep))
    run(tmp_path / "whole", records, NetSegmenter(), wanted)
    with pytest.raises(Killed):
        run(tmp_path / "killed", records, Mortal(25), wanted)
    assert not (tmp_path / "killed" / "answers.parquet").exists()
    segmenter = NetSegmenter()
    _, journal = run(tmp_path / "killed", records, segmenter, wanted)
    # The images of the unit that died were made already, where they are kept.
    assert (journal.reused, segmenter.asked) == (25 + (8 if keep else 0), 36 - 25)
    for name in ("answers.parquet", "images.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_is_known_costs_no_gradient(records, tmp_path):
    run(tmp_path, records, NetSegmenter(), spec(attack("fgsm")))
    segmenter = NetSegmenter()
    grown = spec(attack("fgsm"), attack("fgsm", name="fgsm_inside", region="inside_box"))
    pace, journal = run(tmp_path, records, segmenter, grown)
    assert (journal.reused, journal.computed) == (18, 18)
    # FGSM takes one gradient an image, whatever the levels.
    assert (segmenter.attacked, pace.images) == (6, 18)
    for changed in ({"code": "new"}, {"weights": "new"}):
        assert run(tmp_path, records, NetSegmenter(), spec(attack("fgsm")), **changed)[1].reused == 0
    assert run(tmp_path, records, NetSegmenter(), spec(attack("fgsm", targeted=True)))[1].reused == 0
    # Answers are asked for in the card's batches, whose size the last bits of sums depend on.
    known = spec(attack("fgsm"))
    for change, reused in (({"title": "Another"}, 18), ({"batch": known.model.batch + 1}, 0)):
        other = known.model_copy(update={"model": known.model.model_copy(update=change)})
        assert run(tmp_path, records, NetSegmenter(), other)[1].reused == reused


def test_a_random_start_depends_on_names_alone(records, tmp_path):
    alone = write_records(tmp_path, [picture(index) for index in range(2)])
    run(tmp_path / "two", alone, NetSegmenter(), spec(ALL[2]))
    run(tmp_path / "all", records, NetSegmenter(), spec(*ALL[:3]))
    every = stored(tmp_path / "all")
    assert all(np.array_equal(image, every[key]) for key, image in stored(tmp_path / "two").items())


def test_a_model_in_training_mode_is_not_attacked(records, tmp_path):
    segmenter = NetSegmenter()
    segmenter.model.train()
    with pytest.raises(AssertionError, match="eval mode"):
        run(tmp_path, records, segmenter, spec(attack("fgsm")))


def test_a_gradient_that_is_not_finite_names_the_image(records, tmp_path):
    segmenter = NetSegmenter()
    with torch.no_grad():
        segmenter.model.last.bias.fill_(torch.nan)
    with pytest.raises(MedstressError, match="squares, pgd level 1, run net, images i0: the gradient is not finite"):
        run(tmp_path, records, segmenter, spec(attack("pgd")))


class Small(NetSegmenter):
    """Has memory for three images at a time."""

    def attack_loss(self, pixels, boxes, masks):
        if len(pixels) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().attack_loss(pixels, boxes, masks)


def test_a_batch_that_does_not_fit_names_one_that_does(tmp_path):
    records = write_records(tmp_path, [picture(index) for index in range(5)])
    said = "model card net: the GPU's memory ran out with batch 5. The largest batch that fits now is 3"
    for one in (attack("fgsm"), attack("pgd")):
        with pytest.raises(MedstressError, match=said):
            run(tmp_path / one.name, records, Small(), spec(one), batch=5)
    run(tmp_path / "three", records, Small(), spec(attack("fgsm")), batch=3)


def test_nothing_to_attack_is_an_error(records, tmp_path):
    with pytest.raises(MedstressError, match="no sample of the split 'val'"):
        run(tmp_path, records, NetSegmenter(), spec(attack("fgsm"), split="val"))


def test_answers_and_transferred_images_are_scored(made, records, tmp_path):
    """The run's own cells and those of images made against it are scored against the unmoved truth, and agree."""
    folder, segmenter = made
    asked = PredictSpec.model_validate(
        spec().model_dump(include={"run", "model", "dataset", "split"}) | {"prompt": "moved"}
    )
    predictions = tmp_path / "predictions.parquet"
    kept = folder / "images.parquet"
    journal = Journal(tmp_path / "journal")
    predict_dataset(segmenter, asked, *records, [kept], predictions, journal=journal, code="code")
    scoring = ScoreSpec(
        run="net", dataset="squares", split="test", scoring=Scoring(), unmoved=[one.name for one in ALL]
    )
    output = tmp_path / "scores.parquet"
    # One image of the split has no object, so nothing is scored on it.
    score_predictions(scoring, *records, [kept], predictions, output, [folder / "answers.parquet"])
    scores = {
        (row.sample_id, row.object_id, row.perturbation, row.level, row.metric): (row.value, row.status)
        for row in read_rows(output, ScoreRow)
    }
    assert len(scores) == 12 * 4 * (1 + 2 * len(ALL) * len(LEVELS))
    for (sample, item, name, level, metric), found in scores.items():
        if level and "@" not in name:
            assert scores[sample, item, f"{name}@net", level, metric] == found
    lacking = scoring.model_copy(update={"unmoved": [*scoring.unmoved, "pgd_far"]})
    with pytest.raises(MedstressError, match="net on squares: no answers for pgd_far"):
        score_predictions(lacking, *records, [kept], predictions, output, [folder / "answers.parquet"])
    with pytest.raises(MedstressError, match="answers belong to no object or cell of the study"):
        fewer = scoring.model_copy(update={"unmoved": scoring.unmoved[1:]})
        score_predictions(fewer, *records, [kept], predictions, output, [folder / "answers.parquet"])
