"""A Llama of few weights, drawn from a fixed seed, with a tokenizer and a chat template: no download.

What it writes makes no sense, but decoding along a JSON schema makes valid objects of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

ENGINE: dict[str, Any] = {  # Any: arguments of vLLM's engine
    "max_model_len": 512,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 512,
    "enforce_eager": True,
}
"""With which vLLM starts fast, and is filled soon."""
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["question", "claim"]}, "hard": {"type": "boolean"}},
    "required": ["kind", "hard"],
    "additionalProperties": False,
}
"""Of a short answer."""
ENDLESS = {"type": "array", "items": {"enum": ["question", "claim", "title"]}, "minItems": 10_000}
"""Of an answer that goes on until it is cut off."""

_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_SPECIAL = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
_BIAS = 10.0
"""Added to the scores of words and of the quotation mark: so much that hardly anything else is drawn."""
_WORDS_TO_A_QUOTE = 40
_TEXTS = ["A fox asks what the passage below is about.", '{"query": "what is a fox?", "kind": "question"}'] * 50


@dataclass(frozen=True)
class Size:
    """How large the model is; attention heads are 32 wide."""

    hidden: int = 128
    layers: int = 2
    positions: int = 1024
    vocabulary: int | None = None
    """Rows of the embedding (default: as many as the tokenizer has tokens)."""
    ends_texts: bool = False
    """Whether it writes words and ends a text after some forty of them; evenly drawn weights never do."""


def save_tiny_llama(folder: Path, size: Size | None = None) -> None:
    """Write the files of a model folder as transformers and vLLM read them."""
    _save_tokenizer(folder)
    _save_weights(folder, size or Size())


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bytes_of = pre_tokenizers.ByteLevel
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = bytes_of(add_prefix_space=False), decoders.ByteLevel()
    alphabet = bytes_of.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=_SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    ends = {"bos_token": _SPECIAL[0], "eos_token": _SPECIAL[1]}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends)  # type: ignore[no-untyped-call]
    fast.chat_template = _TEMPLATE
    fast.save_pretrained(folder)


def _save_weights(folder: Path, size: Size) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=size.vocabulary or len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=2 * size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // 32,
        num_key_value_heads=size.hidden // 64,
        max_position_embeddings=size.positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    if size.ends_texts:
        _favour(model, tokenizer.get_vocab())
    model.bfloat16().save_pretrained(folder)


def _favour(model: LlamaForCausalLM, vocabulary: dict[str, int]) -> None:
    """Give words and the quotation mark higher scores than other tokens.

    The first number of every embedding is 1, far more than the others, so that the last layer gives the same number for
    it at each place: what the output weights make of that is a bias.
    """
    import torch

    words = [number for text, number in vocabulary.items() if re.fullmatch("Ġ?[a-z]{2,}", text)]
    bias = torch.zeros(model.config.vocab_size)
    bias[words] = _BIAS
    bias[vocabulary['"']] = _BIAS + float(torch.tensor(len(words) / _WORDS_TO_A_QUOTE).log())
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 1.0
        model.lm_head.weight[:, 0] = bias / model.config.hidden_size**0.5
