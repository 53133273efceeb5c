"""Which input a run was made from: names and content, nothing that changes when files are moved or copied."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from datagen.errors import InputError
from datagen.settings.input import InputConfig
from datagen.sources import hub
from datagen.sources.locate import Source, locate_input
from datagen.sources.runs import locate_run
from datagen.storage import hash_file


def input_fingerprint(config: InputConfig) -> str:
    """Names of all tables of the input and the SHA-256 of what their files hold, as one readable line.

    Of each digest the first 16 hex digits are shown. Folders above the named file or folder and dates do not count.

    Raises:
        InputError: something that was named is not there or cannot be read.
        BackendMissingError: a dataset id was given and `datasets` is not installed.
    """
    if config.is_empty:
        return "nothing"
    if config.run is not None:
        tables = [Source(name, "parquet", files) for name, files in locate_run(config.run).items() if files]
        return "run: " + "; ".join(_describe(source, config.split) for source in tables)
    layout = locate_input(config)
    form = "beir" if config.beir is not None else "files"
    single = [("corpus", layout.corpus), ("queries", layout.queries), ("pairs", layout.pairs)]
    named = [(role, source) for role, source in single if source is not None]
    named += [("qrels", source) for source in layout.qrels]
    return f"{form}: " + "; ".join(f"{role} {_describe(source, config.split)}" for role, source in named)


def _describe(source: Source, split: str) -> str:
    files = source.files if source.format != "hub" else hub.cached_files(source.place, split)
    count = f" ({len(files):,} files)" if len(files) > 1 else ""
    return f"{source.name}{count} sha256:{_digest(files)[:16]}"


def _digest(files: Sequence[Path]) -> str:
    try:
        digests = [hash_file(path) for path in files]
    except OSError as exc:
        raise InputError(f"cannot read {exc.filename or str(files[0])!r}: {exc.strerror}; check the file") from exc
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
