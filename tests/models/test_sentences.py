"""Sentence embeddings by the formula of sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from medstress.errors import MedstressError
from medstress.models.sentences import embed_captions, embed_sentences
from medstress.records import PredictionRow, SampleRow, TextRow, read_rows, write_rows
from medstress.specs import EmbedCaptionsSpec
from tests.models.sentence_folder import write_sentence_encoder

TEXTS = [
    "a head",
    "An axial CT of the left lung.",
    "lung",
    "ct " * 40,
    "the left lung of a head . the left lung of a head",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentence_encoder(tmp_path_factory.mktemp("encoder"))


def published(folder: Path, text: str, longest: int) -> np.ndarray:
    """The example on the model's own page: mean pooling with the mask, then the L2 norm; one sentence at a time."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    encoded = tokenizer([text], padding=True, truncation=True, max_length=longest, return_tensors="pt")
    with torch.no_grad():
        tokens = model.eval()(**encoded)[0]
    mask = encoded["attention_mask"].unsqueeze(-1).expand(tokens.size()).float()
    pooled = torch.sum(tokens * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)
    return torch.nn.functional.normalize(pooled, p=2, dim=1).numpy()[0]


def test_embeddings_are_those_of_the_published_formula(folder: Path) -> None:
    found = embed_sentences(folder, TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for text, row in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(row, published(folder, text, 8), atol=1e-6)
    assert np.abs(found[3] - published(folder, TEXTS[3], 32)).max() > 1e-3  # what is longer is cut


def test_order_and_company_change_nothing_that_matters(folder: Path) -> None:
    many = [f"a head of {'the left lung ' * (number % 4)}" for number in range(70)]
    alone = np.concatenate([embed_sentences(folder, [text]) for text in many[:4]])
    np.testing.assert_allclose(embed_sentences(folder, many[::-1])[::-1][:4], alone, atol=1e-6)


def test_each_caption_is_embedded_once(folder: Path, tmp_path: Path) -> None:
    samples, predictions, output = (tmp_path / f"{name}.parquet" for name in ("samples", "predictions", "captions"))
    write_rows(samples, SampleRow, [SampleRow("s", "i", task="captioning", caption="a head")])
    cells = [("clean", 0, "a lung"), ("blur", 1, "a lung"), ("blur", 2, " "), ("blur", 3, None), ("blur", 4, "a head")]
    write_rows(
        predictions,
        PredictionRow,
        [
            PredictionRow("s", "", name, level, None, "ok" if text else "error", text=text)
            for name, level, text in cells
        ],
    )
    assert embed_captions(EmbedCaptionsSpec(encoder=str(folder)), samples, predictions, output) == 2
    rows = read_rows(output, TextRow)
    assert [row.text for row in rows] == ["a head", "a lung"]
    assert len(rows[0].embedding) == 4 * 32


def test_a_folder_without_an_encoder_is_said(tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match=r"caption_encoder .*config.json and model.safetensors not found"):
        embed_sentences(tmp_path, ["a"])
    for path in write_sentence_encoder(tmp_path).glob("*"):
        if path.name.startswith("tokenizer") or path.name == "vocab.txt":
            path.unlink()
    with pytest.raises(MedstressError, match="the tokenizer has 5 words, the model 15"):
        embed_sentences(tmp_path, ["a"])
