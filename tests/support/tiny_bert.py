"""A BERT of one layer with random weights, its words cut into letters: trains in a moment, without a network."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_SIZE = 16


def save_tiny_bert(folder: Path, *, labels: int | None = None) -> Path:
    """A model folder, the same for every call: an encoder, or, with `labels`, one that classifies pairs."""
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    shape: dict[str, Any] = {"vocab_size": len(tokenizer), "max_position_embeddings": 64}  # Any: numbers of the model
    shape |= {"hidden_size": _SIZE, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": _SIZE}
    shape["num_labels"] = labels or 2
    config = transformers.BertConfig(**shape)
    torch.manual_seed(1)
    kind = transformers.BertForSequenceClassification if labels else transformers.BertModel
    kind(config).save_pretrained(folder)
    return folder


def make_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Letters and digits; all else is unknown."""
    pieces = [*string.ascii_lowercase, *string.digits]
    vocabulary = {piece: place for place, piece in enumerate([*_SPECIAL, *pieces, *(f"##{piece}" for piece in pieces)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    marks = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIAL, strict=True))
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # it has no types
        tokenizer_object=tokenizer, model_max_length=64, **names
    )
