"""The table of claims from records, the claims that come with the project, and the published numbers beside them."""

from pathlib import Path

import pandas as pd
import pytest

from medstress.configfile import load_project
from medstress.errors import MedstressError
from medstress.problems import ConfigError
from medstress.table_slice import table_spec
from medstress.tables.claims import build
from medstress.tables.write import write_table
from tests.tables.conftest import ToyStudy

ROOT = Path(__file__).parents[2]
HEADLINES = {
    "lora_degrades_twice",
    "medical_types_in_top",
    "zero_shot_captions_stable",
    "lora_grounding_loses_40",
    "adapter_best_trade_off",
    "no_method_wins_every_shift",
    "lora_best_in_distribution",
    "few_shot_lowers_mce",
}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_demo_tests_every_headline_and_calls_all_of_it_a_stand_in() -> None:
    spec = table_spec(load_project(Path("config/config.yaml")))
    assert {claim.name for claim in spec.claims} == HEADLINES
    learnt = [run for run in spec.runs if run.startswith("tiny_")]
    assert set(spec.stand_ins) == {*learnt, *spec.datasets}
    assert table_spec(load_project(Path("config/config.yaml")), claims=False).claims == []


@pytest.mark.parametrize("study", ["medfm_robust", "medfm_robust_vlm", "sure_vqa", "robustmedclip"])
def test_published_studies_test_the_claims_of_their_tasks_on_the_real_thing(study: str) -> None:
    spec = table_spec(load_project(Path(f"config/{study}.yaml")))
    assert spec.stand_ins == []
    tasks = set(spec.tasks.values())
    assert spec.claims and all(claim.test.task in tasks for claim in spec.claims)


def test_a_study_names_its_claims_or_is_told_what_there_is(tmp_path: Path) -> None:
    study = tmp_path / "own.yaml"
    text = Path("config/ci.yaml").read_text(encoding="utf-8")
    study.write_text(f"{text}\nclaims: [mine]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"(?s)claims\.0.*'mine'.*a card in"):
        load_project(study)
    (tmp_path / "claims").mkdir()
    own = Path("config/claims/lora_degrades_twice.yaml").read_text(encoding="utf-8")
    (tmp_path / "claims" / "mine.yaml").write_text(
        own.replace("name: lora_degrades_twice", "name: mine"), encoding="utf-8"
    )
    assert [claim.name for claim in table_spec(load_project(study)).claims] == ["mine"]


def _numbers() -> pd.DataFrame:
    return pd.read_csv("src/medstress/score/published.csv")


def test_published_effects_follow_from_the_published_numbers() -> None:
    claims = {
        claim.name: claim.published.value for claim in table_spec(load_project(Path("config/config.yaml"))).claims
    }
    known = _numbers()
    own = known[(known["study"] == "medfm_robust") & known["perturbation"].isna() & known["level"].isna()]

    def value(quantity: str, strategy: str, model: str) -> float:
        rows = own[(own["quantity"] == quantity) & (own["strategy"] == strategy) & (own["model"] == model)]
        return float(rows["value"].item())

    everything = "mean of models"
    ratio = value("mean drop", "lora", everything) / value("mean drop", "full", everything)
    assert claims["lora_degrades_twice"] == pytest.approx(ratio, abs=0.005)
    few = ["adapter_only", "decoder_only", "decoder_prompt", "encoder_partial", "lora"]
    left = {one: value("clean", one, "sam_med2d") - value("mean drop", one, "sam_med2d") for one in few}
    lead = left.pop("adapter_only") - max(left.values())
    assert claims["adapter_best_trade_off"] == pytest.approx(lead, abs=0.00005)
    top = known[known["quantity"] == "medical types among the first 15"].set_index("precision")["value"]
    # Of the 22 types that were run 15 are medical.
    assert claims["medical_types_in_top"] == pytest.approx(top["printed"] / 15 - 15 / 22, abs=0.005)
    assert top["measured"] / 15 - 15 / 22 == pytest.approx(-0.15, abs=0.005)


def test_published_numbers_are_whole() -> None:
    known = _numbers()
    assert set(known["study"]) == {"medfm_robust", "robustmedclip", "sure_vqa"}
    assert set(known["precision"]) == {"printed", "measured", "about", "less than", "more than"}
    assert known[["quantity", "value", "source"]].notna().all().all()
    assert not known.duplicated(list(known.columns.drop("value"))).any()
    # The averages of the two models reproduce those that are drawn for both, as the audit of the figures found.
    drops = known[(known["source"] == "Fig. 3c")].groupby("strategy")["value"].mean()
    assert drops["full"] == pytest.approx(0.0254, abs=0.0001) and drops["lora"] == pytest.approx(0.0476, abs=0.0001)


def test_a_table_of_claims_from_records(toy: ToyStudy, tmp_path: Path) -> None:
    claims = [
        claim
        for claim in table_spec(load_project(Path("config/config.yaml"))).claims
        if claim.name in ("lora_degrades_twice", "zero_shot_captions_stable")
    ]
    spec = toy.spec.model_copy(update={"claims": claims})
    outputs = {suffix: tmp_path / f"claims.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
    write_table(spec, "claims", toy.sources, outputs)
    table = pd.read_csv(outputs["csv"]).set_index("claim")
    assert table.loc["lora_degrades_twice", "published"] == 1.92
    assert table.loc["lora_degrades_twice", "verdict"] == "not enough data"
    assert table["reason"].astype(str)["lora_degrades_twice"].startswith("not in this study: ")
    text = outputs["md"].read_text(encoding="utf-8")
    assert "LoRA degrades about twice as much as full fine-tuning." in text
    assert "| Claim" in text and text.count("\n| ") == 2 + len(claims)
    shown = next(line for line in text.splitlines() if line.startswith("| LoRA degrades"))
    cells = [cell.strip() for cell in shown.strip("|").split("|")]
    assert cells[1:] == ["1.92", "\N{EN DASH}", "not enough data (not in this study)"]
    assert "| less than 0.07 " in text
    assert "Intervals are of 95 % confidence, from 200 resamples of groups." in text
    assert (
        "Effect: IoU drop: LoRA over full fine-tuning; the claim holds where it is at least 1.5 and at most 2.5."
        in text
    )
    assert "mean IoU drop .048 with LoRA" in text and "*+*" not in text and "bleu_4" not in text
    first = {suffix: path.read_bytes() for suffix, path in outputs.items()}
    write_table(spec, "claims", toy.sources, outputs)
    assert {suffix: path.read_bytes() for suffix, path in outputs.items()} == first


def test_a_study_without_claims_is_told_where_they_go(toy: ToyStudy) -> None:
    with pytest.raises(MedstressError, match="Write a card in config/claims"):
        build(toy.spec.model_copy(update={"claims": []}), pd.DataFrame())
