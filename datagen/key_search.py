"""Secrets in files: values that are known, and what looks like a key. Reads parquet, text and gzipped text."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import InputError, first_line

OWN = "own"
"""What `find_keys` says of a value that is known."""
LIKE_KEYS: Mapping[str, str] = {
    "a token of the Hugging Face hub": r"(?:^|[^A-Za-z0-9])hf_[A-Za-z0-9]{30,}",
    "a key of a language model": r"(?:^|[^A-Za-z0-9_-])sk-[A-Za-z0-9_-]{32,}",
    "a token of GitHub": r"(?:^|[^A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36}",
    "an access key of a cloud": r"(?:^|[^A-Za-z0-9])AKIA[0-9A-Z]{16}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
}
_CHUNK = 1 << 22
_OVERLAP = 512


def find_keys(path: Path, own: Sequence[str], *, like_keys: bool) -> str:
    """What a file holds that should not leave the machine: `OWN`, a name of `LIKE_KEYS`, or nothing.

    Args:
        path: a parquet file, of which the texts are read, or any other, which is read as it is, unpacked where it ends
            in .gz.
        own: secrets that are known.
        like_keys: look for what has the form of a key, too.

    Raises:
        InputError: the file cannot be read.
    """
    find = _find_in_parquet if path.suffix == ".parquet" else _find_in_text
    patterns = {OWN: "|".join(map(re.escape, own))} if own else {}
    try:
        return find(path, {**patterns, **(LIKE_KEYS if like_keys else {})})
    except (OSError, EOFError, zlib.error, pa.ArrowException) as exc:
        raise InputError(
            f"cannot read {path}: {first_line(exc)}; make it again, with the command that made it"
        ) from exc


def _find_in_parquet(path: Path, patterns: Mapping[str, str]) -> str:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for texts in (leaf for column in batch.columns for leaf in _texts(column)):
                for name, pattern in patterns.items():
                    if texts.str.contains(pattern).any():
                        return name
    return ""


def _texts(array: pa.Array) -> Iterator[pl.Series]:
    """The texts in a column, those in lists and structs among them."""
    kind = array.type
    if pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _texts(part)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield pl.Series(values=array)


def _find_in_text(path: Path, patterns: Mapping[str, str]) -> str:
    searches = {name: re.compile(pattern.encode()) for name, pattern in patterns.items()}
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        before = b""
        while chunk := file.read(_CHUNK):
            for name, search in searches.items():
                if search.search(before + chunk):
                    return name
            before = chunk[-_OVERLAP:]
    return ""
