"""Writes a transformers encoder with random weights (run by the environment of ``stack.text``)."""

import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *("the", "plane", "is", "late", "my", "bill", "is", "wrong", "money", "back", "please"),
]

folder = Path(sys.argv[1])
folder.mkdir(parents=True)
words = list(dict.fromkeys(WORDS))
vocabulary = folder / "vocab.txt"
vocabulary.write_text("\n".join(words))
BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(folder)
torch.manual_seed(0)
config = BertConfig(
    vocab_size=len(words),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=64,
)
BertModel(config).save_pretrained(folder)
