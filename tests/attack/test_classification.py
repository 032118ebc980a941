"""Attacks on classifiers, through the head of a tiny CLIP: what falls, what is stored, what a restart finds."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from medstress.attack.classification import ClassifierVictim, Labelled, attack_classifier
from medstress.attack.steps import gradient_of
from medstress.attack.subjects import to_pixels
from medstress.cards.classifier import Clip
from medstress.errors import MedstressError
from medstress.journal import Journal
from medstress.models.embed import embed_dataset
from medstress.models.zeroshot.clip_pixels import Preprocessing
from medstress.models.zeroshot.encoder import TorchEncoder
from medstress.models.zeroshot.head import Head
from medstress.models.zeroshot.protocol import Targets
from medstress.pixels import decode_png, encode_png
from medstress.records import EmbeddingRow, ImageRow, PerturbedRow, PredictionRow, SampleRow, read_rows, write_rows
from medstress.seeds import generator
from medstress.specs import AttackSpec, ClassTexts, EmbedSpec
from tests.attack.conftest import attack

SIDE = 28
CLASSES = ["disc", "stripes", "noise"]
CARD = Clip(name="net", title="Net", adapter="clip", weights="none", device="cpu", batch=4)
CPU = torch.device("cpu")


def picture(index, *, colour=False, side=SIDE):
    """A disc, stripes or noise, by index."""
    rng, (rows, columns) = generator(index), np.mgrid[:side, :side] / side
    kind = index % 3
    scene = [np.hypot(rows - 0.5, columns - 0.5) < 0.3, np.sin(30 * (rows + index)) > 0, rng.random((side, side)) > 0.5]
    values = 70 + 110 * scene[kind][..., None] + rng.normal(0, 10, (side, side, 3 if colour else 1))
    image = values.clip(0, 255).astype(np.uint8)
    return image if colour else image[..., 0]


PICTURES = {f"i{index}": picture(index, colour=index > 5) for index in range(9)} | {"wide": picture(9, side=36)}


@dataclass
class Counting(TorchEncoder):
    """Counts what it is asked, and dies at the answer `life`."""

    embedded: int = 0
    life: int = -1

    def embed(self, images):
        if self.embedded == self.life:
            raise KeyboardInterrupt
        self.embedded += 1
        return super().embed(images)


@pytest.fixture
def encoder():
    return new_encoder()


def new_encoder(**changes):
    """A CLIP's image encoder of 16 000 weights, drawn; it resizes images of another size."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=7,
        projection_dim=16,
    )
    model = CLIPVisionModelWithProjection(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape))
    return Counting(
        model, Preprocessing(SIDE), lambda inputs: model(inputs).image_embeds, "", Targets(), "net", batch=4, **changes
    )


@pytest.fixture(scope="module")
def head():
    """Texts that tell the first three pictures apart: their own embeddings, without what all have in common."""
    found = new_encoder().embed([PICTURES[f"i{index}"] for index in range(3)]).astype(np.float64)
    return Head(100 * (found - found.mean(0)).T, (0, 1, 2))


def texts(kind="multi_class"):
    return ClassTexts(kind=kind, classes=CLASSES, texts=[[name] for name in CLASSES])


def spec(*attacks, kind="multi_class", **changes):
    given = {"run": "net", "model": CARD, "dataset": "shapes", "split": "test", "levels": [1, 5]}
    return AttackSpec(**(given | {"attacks": list(attacks), "texts": texts(kind)} | changes))


def write_records(folder, pictures, labels):
    folder.mkdir(exist_ok=True)
    images = [
        ImageRow(name, name, "test", "mri", encode_png(image), *image.shape[:2]) for name, image in pictures.items()
    ]
    images.append(ImageRow("train", "train", "train", "mri", images[0].png, SIDE, SIDE))
    samples = [SampleRow(f"s-{name}", name, "classification", labels=labels[name]) for name in pictures]
    write_rows(folder / "images.parquet", ImageRow, images)
    write_rows(folder / "samples.parquet", SampleRow, [*samples, SampleRow("s-train", "train", "classification")])
    return folder / "images.parquet", folder / "samples.parquet"


def own_answers(encoder, head):
    """What the model says to the clean pictures, as labels."""
    logits = head.logits(encoder.embed(list(PICTURES.values())))
    return {name: (int(best),) for name, best in zip(PICTURES, logits.argmax(1), strict=True)}


@pytest.fixture(scope="module")
def records(tmp_path_factory, head):
    return write_records(tmp_path_factory.mktemp("records"), PICTURES, own_answers(new_encoder(), head))


def run(folder, records, encoder, head, wanted, **options):
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "journal")
    given = {"journal": journal, "code": "code", "kept": folder / "images.parquet"} | options
    attack_classifier(encoder, head, wanted, *records, folder / "answers.parquet", **given)
    return journal


FEW = {"steps": [2, 2, 3, 3, 6], "keep_images": True}
RADII = {"norm": "l2", "epsilons": [30, 60, 120, 240, 480]}
ALL = [
    attack("fgsm", **FEW),
    attack("pgd", **FEW),
    attack("fgsm", name="fgsm_l2", **FEW, **RADII),
    attack("pgd", name="pgd_l2", restarts=2, momentum=0.5, **FEW, **RADII),
    attack("pgd", name="pgd_targeted", targeted=True, **FEW),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory, records, head):
    """Every kind of attack on every picture, which start from what the model says itself."""
    folder = tmp_path_factory.mktemp("made")
    encoder = new_encoder()
    weights = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    run(folder, records, encoder, head, spec(*ALL))
    assert all(torch.equal(value, weights[name]) for name, value in encoder.model.state_dict().items())
    assert all(value.grad is None and not value.requires_grad for value in encoder.model.parameters())
    return folder


def stored(folder):
    """Adversarial images: (attack, level, image id) to pixels."""
    return {
        (row.perturbation.removesuffix("@net"), row.level, row.image_id): decode_png(row.png, where="")
        for row in read_rows(folder / "images.parquet", PerturbedRow)
    }


def answers(folder):
    """Logits: (attack, level, image id) to K numbers."""
    return {
        (row.perturbation, row.level, row.sample_id.removeprefix("s-")): np.array(row.logits)
        for row in read_rows(folder / "answers.parquet", PredictionRow)
    }


def test_every_stored_image_is_in_its_ball(made):
    images = stored(made)
    assert len(images) == len(ALL) * 2 * len(PICTURES)
    for (name, level, image_id), image in images.items():
        clean = PICTURES[image_id]
        assert (image.shape, image.dtype) == (clean.shape, np.uint8)
        moved = image.astype(int) - clean
        radius = next(one for one in ALL if one.name == name).epsilons[level - 1]
        if name.endswith("_l2"):
            assert 0.75 * radius < np.linalg.norm(moved) <= radius
        else:
            assert 0 < np.abs(moved).max() <= radius


def test_accuracy_falls_on_the_models_own_answers(made, records):
    true = {row.image_id: row.labels[0] for row in read_rows(records[1], SampleRow) if row.labels}
    assert len(set(true.values())) == 3
    found = answers(made)
    accuracy = {
        (one.name, level): np.mean([found[one.name, level, name].argmax() == true[name] for name in PICTURES])
        for one in ALL
        for level in (1, 5)
    }
    for one in ALL:
        assert accuracy[one.name, 5] <= accuracy[one.name, 1], one.name
        assert accuracy[one.name, 5] <= 0.3, one.name
    assert accuracy["pgd", 5] <= accuracy["fgsm", 5]


def test_the_target_is_the_least_likely_wrong_class(made, head):
    clean = dict(zip(PICTURES, head.logits(new_encoder().embed(list(PICTURES.values()))), strict=True))
    found = answers(made)
    for name, logits in clean.items():
        # Its own answers are the truth, so that the least likely class is a wrong one.
        target = int(logits.argmin())
        after = found["pgd_targeted", 5, name]
        assert torch.tensor(after).softmax(0)[target] > torch.tensor(logits).softmax(0)[target]
    assert np.mean([found["pgd_targeted", 5, name].argmax() == logits.argmin() for name, logits in clean.items()]) > 0.5


def test_a_true_class_is_no_target(encoder, head):
    image = PICTURES["i0"]
    logits = head.logits(encoder.embed([image]))[0]
    lowest, second, _ = np.argsort(logits)
    subject = Labelled("i0", b"", image, "s", (int(lowest),))
    victim = ClassifierVictim(encoder, head, texts())
    said = victim.loss([subject], targeted=True)(to_pixels([image], CPU)).item()
    assert said == pytest.approx(-torch.tensor(logits).log_softmax(0)[second].item(), rel=1e-4)


def test_answers_are_those_to_embeddings_of_the_stored_images(made, records, head, tmp_path):
    """What rule embed makes of the kept images, and the head of that."""
    asked = EmbedSpec(encoder="net", model=CARD, dataset="shapes", split="test")
    journal, output = Journal(tmp_path / "journal"), tmp_path / "embeddings.parquet"
    embed_dataset(new_encoder(), asked, records[0], [made / "images.parquet"], output, journal=journal, code="code")
    embedded = read_rows(output, EmbeddingRow)
    logits = head.logits(np.stack([np.frombuffer(row.embedding, "<f4") for row in embedded])).tolist()
    said = {
        (row.perturbation, row.level, f"s-{row.image_id}"): tuple(found)
        for row, found in zip(embedded, logits, strict=True)
    }
    rows = read_rows(made / "answers.parquet", PredictionRow)
    assert len(said) == len(rows) + len(PICTURES)
    assert all(said[f"{row.perturbation}@net", row.level, row.sample_id] == row.logits for row in rows)
    assert {(row.object_id, row.status, row.mask) for row in rows} == {("", "ok", None)}
    order = [(row.perturbation, row.sample_id, row.level) for row in rows]
    assert order == [(one.name, f"s-{name}", level) for one in ALL for name in PICTURES for level in (1, 5)]


def test_an_image_is_the_same_beside_any_others(made, tmp_path, records, head):
    labels = {row.image_id: row.labels for row in read_rows(records[1], SampleRow)}
    some = {name: PICTURES[name] for name in ("i4", "wide", "i1", "i8")}
    run(tmp_path, write_records(tmp_path / "some", some, labels), new_encoder(), head, spec(*ALL))
    images, known = stored(tmp_path), stored(made)
    assert len(images) == len(ALL) * 2 * len(some)
    assert all(np.array_equal(image, known[key]) for key, image in images.items())
    logits = answers(made)
    assert all(np.array_equal(row, logits[key]) for key, row in answers(tmp_path).items())


def test_batches_on_a_gpu_agree_with_single_images(made, tmp_path, records, head):
    run(tmp_path, records, new_encoder(), head, spec(*ALL), batch=4)
    single, batched = stored(made), stored(tmp_path)
    assert batched.keys() == single.keys()
    assert np.mean([np.mean(batched[key] == single[key]) for key in single]) > 0.99


def test_the_gradient_is_the_finite_difference(encoder, head):
    """Along drawn directions and the gradient's own, through the resize of the picture that has another size."""
    for name, kind, labels in (
        ("i0", "multi_class", (1,)),
        ("wide", "multi_class", (0,)),
        ("i7", "multi_label", (0, 2)),
    ):
        image = PICTURES[name]
        victim = ClassifierVictim(encoder, head, texts(kind))
        loss = victim.loss([Labelled(name, b"", image, "s", labels)], targeted=False)
        clean = to_pixels([image], CPU)
        gradient = gradient_of(loss, clean)
        assert gradient.abs().max() > 0
        random = torch.Generator().manual_seed(1)
        for direction in (gradient, torch.randn(clean.shape, generator=random) + gradient / gradient.std()):
            step = 0.2 * direction / direction.abs().max()
            with torch.no_grad():
                change = (loss(clean + step) - loss(clean - step)).item()
            assert change == pytest.approx(2 * (gradient * step).sum().item(), rel=0.02), (name, kind)


def test_several_labels_an_image(tmp_path, encoder, head):
    """The mean binary cross-entropy: every label goes the wrong way."""
    logits = head.logits(encoder.embed(list(PICTURES.values())))
    true = dict(zip(PICTURES, logits > 0, strict=True))
    assert len({int(row.sum()) for row in true.values()}) > 1
    records = write_records(
        tmp_path, PICTURES, {name: tuple(np.flatnonzero(row).tolist()) for name, row in true.items()}
    )
    both = [attack("pgd", **FEW), attack("pgd", name="pgd_targeted", targeted=True, **FEW)]
    run(tmp_path, records, encoder, head, spec(*both, kind="multi_label"))
    found = answers(tmp_path)
    for name in ("pgd", "pgd_targeted"):
        right = {
            level: np.mean([(found[name, level, image] > 0) == true[image] for image in PICTURES]) for level in (1, 5)
        }
        assert right[5] < 0.5 < right[1] < 1, name


def test_a_killed_attack_goes_on_and_ends_on_the_same_bytes(made, tmp_path, records, head):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, records, new_encoder(life=20), head, spec(*ALL))
    encoder = new_encoder()
    journal = run(tmp_path, records, encoder, head, spec(*ALL))
    # Ten pictures, asked about in blocks of four.
    assert encoder.embedded == len(ALL) * 2 * 3 - 20
    assert journal.reused == 2 * 20 + 1
    for name in ("answers.parquet", "images.parquet"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()
    again = run(tmp_path, records, new_encoder(life=0), head, spec(*ALL))
    assert again.computed == 0
    # Other texts are another question.
    other = texts().model_copy(update={"texts": [["a"], ["b"], ["c"]]})
    assert run(tmp_path, records, encoder, head, spec(ALL[0], texts=other)).reused == 0


def test_what_cannot_be_attacked(tmp_path, records, head):
    with pytest.raises(MedstressError, match="shapes: attack inside has a region, but classification has no"):
        run(tmp_path, records, new_encoder(), head, spec(attack("fgsm", name="inside", region="inside_box")))
    with pytest.raises(MedstressError, match="no sample of the split 'val' to attack"):
        run(tmp_path, records, new_encoder(), head, spec(attack("fgsm"), split="val"))
    training = new_encoder()
    training.model.train()
    with pytest.raises(AssertionError, match="eval mode"):
        run(tmp_path, records, training, head, spec(attack("fgsm")))
