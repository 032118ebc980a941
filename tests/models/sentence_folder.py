"""A tiny encoder of sentences with drawn weights, in the files of sentence-transformers."""

import json
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "an",
    "head",
    "axial",
    "ct",
    "of",
    "the",
    "left",
    "lung",
    ".",
]


def write_sentence_encoder(folder: Path, longest: int = 8) -> Path:
    """A BERT of one layer whose sentences are cut at `longest` tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)}).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}))
    return folder
