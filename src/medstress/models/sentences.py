"""Captions as sentence embeddings: how close two are in meaning, by a small text encoder from a folder."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import AutoTokenizer, BertModel

from medstress.errors import MedstressError
from medstress.models.hub_folder import load_hub_folder
from medstress.records import PredictionRow, SampleRow, TextRow, read_rows, read_tables, write_rows
from medstress.specs import EmbedCaptionsSpec

_BATCH = 32
_SETTINGS = "sentence_bert_config.json"


def embed_captions(spec: EmbedCaptionsSpec, samples: Path, predictions: Path, output: Path) -> int:
    """Write the embedding of each distinct caption of a run and of its data set. Returns how many there are.

    Raises MedstressError where the folder holds no sentence encoder that can be read.
    """
    truths = (row.caption for row in read_rows(samples, SampleRow))
    given = read_tables([predictions], PredictionRow, ["text"])["text"].unique().to_pylist()
    texts = sorted({text for text in (*truths, *given) if text and text.strip()})
    found = embed_sentences(Path(spec.encoder), texts)
    rows = zip(texts, found, strict=True)
    write_rows(output, TextRow, (TextRow(text, row.astype("<f4").tobytes(), 1.0) for text, row in rows))
    return len(texts)


def embed_sentences(folder: Path, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Unit embeddings [N, D] of sentences: the mean over a sentence's tokens, then divided by its length.

    As sentence-transformers has it for all-MiniLM-L6-v2 (Reimers and Gurevych, "Sentence-BERT", EMNLP 2019). Sentences
    longer than the model's `max_seq_length` are cut there. Raises MedstressError where the folder cannot be read.
    """
    where = f"caption_encoder {folder}"
    model = load_hub_folder(BertModel, folder, model_type="bert", adapter="bert", sha256=None, where=where)
    model.train(False)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise MedstressError(f"{where}: the tokenizer is missing or not readable ({error}). Get it again.") from error
    if len(tokenizer) != model.config.vocab_size:  # transformers makes an empty one where there is none
        raise MedstressError(
            f"{where}: the tokenizer has {len(tokenizer)} words, the model {model.config.vocab_size}. Get vocab.txt, "
            "tokenizer.json and tokenizer_config.json from the model's source."
        )
    settings = folder / _SETTINGS
    longest = model.config.max_position_embeddings
    if settings.is_file():
        longest = min(longest, json.loads(settings.read_text(encoding="utf-8")).get("max_seq_length") or longest)
    found = np.zeros((len(texts), model.config.hidden_size), np.float32)
    # Sentences of one batch are about as long, so that little is padded.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            tokens = tokenizer(
                [texts[index] for index in part],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            hidden = model(**tokens).last_hidden_state
            there = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * there).sum(1) / there.sum(1)
            found[part] = functional.normalize(mean, dim=1).numpy()
    return found
