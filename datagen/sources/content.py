"""The bytes and the text of a file, unpacked and checked, with the line of what is wrong."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from datagen.errors import InputError

_GZIP_START = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked when it is gzip (whatever its name).

    Raises:
        InputError: it cannot be read, is not whole, or holds nothing.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_START):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as exc:
        raise InputError(f"cannot read {str(path)!r}: {exc}; check or copy the file again") from exc
    if not content or content.isspace():
        raise InputError(f"{str(path)!r} is empty: give a file with at least one row")
    return content


def iterate_lines(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines of about `size` bytes, unpacked when it is gzip, each with the number of its first line.

    Raises:
        InputError: it cannot be read, is not whole, or holds nothing.
    """
    number, rest, seen = 1, b"", False
    try:
        with path.open("rb") as plain:
            is_packed = plain.read(len(_GZIP_START)) == _GZIP_START
            plain.seek(0)
            file = cast("BinaryIO", gzip.GzipFile(fileobj=plain)) if is_packed else plain
            while block := file.read(size):
                whole, newline, tail = (rest + block).rpartition(b"\n")
                rest, seen = tail, seen or not block.isspace()
                if newline:
                    yield number, whole + newline
                    number += whole.count(b"\n") + 1
    except (OSError, EOFError, zlib.error) as exc:
        raise InputError(f"cannot read {str(path)!r}: {exc}; check or copy the file again") from exc
    if not seen:
        raise InputError(f"{str(path)!r} is empty: give a file with at least one row")
    if rest.strip():
        yield number, rest


def decode(content: bytes, path: Path, first_line: int = 1) -> str:
    """The text of a file's bytes, without a byte order mark.

    Raises:
        InputError: it is not UTF-8; the message names the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + first_line
        raise InputError(
            f"{str(path)!r}, line {line:,}: not UTF-8 (byte {content[exc.start]:#04x}); convert the file to UTF-8"
        ) from exc
