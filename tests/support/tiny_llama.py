"""A Llama of few weights, drawn from a fixed seed, with a tokenizer and a chat template: no download.

What it writes makes no sense, but decoding along a JSON schema makes valid objects of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENGINE: dict[str, Any] = {  # Any: arguments of vLLM's engine
    "max_model_len": 512,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 512,
    "enforce_eager": True,
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
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
_TEXTS = ["A fox asks what the passage below is about.", '{"query": "what is a fox?", "kind": "question"}'] * 50


@dataclass(frozen=True)
class Size:
    """How large the model is; attention heads are 32 wide."""

    hidden: int = 128
    layers: int = 2
    positions: int = 1024
    vocabulary: int | None = None
    """Rows of the embedding (default: as many as the tokenizer has tokens)."""


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
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
