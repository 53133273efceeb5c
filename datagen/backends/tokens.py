"""Counts tokens with the tokenizer of a model, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from datagen.errors import ModelLoadError, first_line
from datagen.storage import hash_file

_FILE = "tokenizer.json"


class FileTokenCounter:
    """The tokenizer in a model's folder."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Keep the tokenizer, set to cut and pad nothing."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.own_marks = int(tokenizer.num_special_tokens_to_add(is_pair=False))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the marks around it."""
        return [len(encoded) for encoded in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def hash_tokenizer(folder: Path) -> str:
    """Hash of the file that decides how many tokens a text has.

    Raises:
        ModelLoadError: it is not there.
    """
    return hash_file(_file_of(folder))


def load_token_counter(folder: Path) -> FileTokenCounter:
    """The tokenizer of a model.

    Raises:
        ModelLoadError: the folder has none in the form of the `tokenizers` library.
    """
    path = _file_of(folder)
    try:
        return FileTokenCounter(Tokenizer.from_file(str(path)))
    except Exception as exc:
        raise ModelLoadError(f"cannot read the tokenizer {path}: {first_line(exc)}; download the model again") from exc


def _file_of(folder: Path) -> Path:
    path = folder / _FILE
    if not path.is_file():
        raise ModelLoadError(
            f"cannot count tokens: {folder} has no {_FILE}; save the model's fast tokenizer there, or name another "
            "model whose tokens are counted as chunk.tokenizer"
        )
    return path
