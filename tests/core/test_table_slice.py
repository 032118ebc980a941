"""What tables are told of the demo study."""

import pytest

from medstress.configfile import load_project
from medstress.table_slice import table_spec
from medstress.table_spec import TableSpec
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def spec() -> TableSpec:
    return table_spec(load_project(ROOT / "config" / "config.yaml"))


def test_what_is_not_shown_the_image_belongs_to_the_same_that_is(spec: TableSpec) -> None:
    # A tuning that differs in more than the images (its shift, its method) is no measure of them.
    assert spec.no_image == {"tiny_vlm": "tiny_vlm~no_image", "tiny_vlm+vlm_lora": "tiny_vlm+vlm_lora_no_image"}


def test_what_knows_no_image_is_a_baseline(spec: TableSpec) -> None:
    assert set(spec.baselines) & set(spec.runs_on("minivqa_vqa")) == {
        "majority_answer",
        "tiny_vlm~no_image",
        "tiny_vlm+vlm_lora_no_image",
    }
