"""DeepLabV3 and SAM-Med2D where the extra they need is missing; where it is there: tests/extras."""

from importlib.util import find_spec

import pytest

from medstress.cards.segmenter import DeepLabV3, SamMed2d
from medstress.errors import MedstressError
from medstress.models.registry import load_segmenter

CARDS = {
    "segment-anything": SamMed2d(name="a", title="A", adapter="sam_med2d", weights="a.pth"),
    "torchvision": DeepLabV3(name="b", title="B", adapter="deeplabv3"),
}


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="the extra is there")
@pytest.mark.parametrize("package", list(CARDS))
def test_a_missing_extra_is_named(package):
    with pytest.raises(MedstressError) as error:
        load_segmenter(CARDS[package])
    assert str(error.value) == f"adapter {CARDS[package].adapter} needs {package}: pip install 'medstress[sam]'"
