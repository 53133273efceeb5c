"""The bytes and the text of a file, unpacked and checked, with the line of what is wrong."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

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


def decode(content: bytes, path: Path) -> str:
    """The text of a file's bytes, without a byte order mark.

    Raises:
        InputError: it is not UTF-8; the message names the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InputError(
            f"{str(path)!r}, line {line:,}: not UTF-8 (byte {content[exc.start]:#04x}); convert the file to UTF-8"
        ) from exc
