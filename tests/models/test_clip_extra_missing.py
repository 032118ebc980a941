"""Adapters of classifiers where the extra they need is missing; where it is there: tests/extras."""

from importlib.util import find_spec

import pytest

from medstress.cards.classifier import ImageClassifier, OpenClip, UniMedClip
from medstress.errors import MedstressError
from medstress.models.zeroshot.load import load_classifier

CARDS = {
    "open-clip-torch": [
        OpenClip(name="a", title="A", adapter="open_clip", weights="nowhere"),
        UniMedClip(name="b", title="B", adapter="unimed_clip", weights="nowhere.pt", text="nowhere"),
    ],
    **{
        library: [
            ImageClassifier(
                name="c",
                title="C",
                adapter="image_classifier",
                library=library,
                architecture="resnet18",
                weights="nowhere.pt",
                classes=["x", "y"],
            )
        ]
        for library in ("timm", "torchvision")
    },
}


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="the extra is there")
@pytest.mark.parametrize("package", list(CARDS))
def test_a_missing_extra_is_named_in_one_line(package):
    for card in CARDS[package]:
        with pytest.raises(MedstressError) as error:
            load_classifier(card)
        assert str(error.value) == f"adapter {card.adapter} needs {package}: pip install 'medstress[clip]'"
