"""Files that are either whole or absent: temporary name, sync, rename.

Everything that datagen keeps on disk is written through here, so that a kill at any instant leaves no
half-written file under its final name, and so that a refusing disk gets one clear sentence.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from datagen.errors import StorageError

_CAUSES = {
    errno.ENOSPC: "the disk is full: free some space or name a folder on another disk, then run again",
    errno.EDQUOT: "the disk quota is used up: free some space or name another folder, then run again",
    errno.EACCES: "there is no permission to write there: choose another folder or change its owner",
    errno.EPERM: "there is no permission to write there: choose another folder or change its owner",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another folder",
}


@contextlib.contextmanager
def guard_disk(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a `StorageError` that says what to do; finished files stay."""
    try:
        yield
    except OSError as exc:
        cause = _CAUSES.get(exc.errno or 0, "finished parts are kept: run the same command again to go on")
        raise StorageError(f"cannot write {path}: {exc.strerror or exc}; {cause}") from exc


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name once the block ends well.

    Raises:
        StorageError: the disk refused; `path` is then as it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with guard_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a small text file as a whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_folder(path: Path) -> None:
    """Create a folder and its parents."""
    with guard_disk(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder with all it holds, if it is there."""
    with guard_disk(path):
        if path.exists():
            shutil.rmtree(path)


def rename_folder(source: Path, target: Path) -> None:
    """Give a finished folder its final name; whatever stood there before is removed first."""
    remove_folder(target)
    with guard_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        _sync(target.parent)


def link_file(source: Path, target: Path) -> None:
    """A second name for a finished file, or a copy where the file system has no links."""
    with guard_disk(target):
        try:
            os.link(source, target)
        except OSError as exc:
            if exc.errno not in (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            shutil.copyfile(source, target)


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hex; read once while its size and time stay the same."""
    seen = path.stat()
    return _hash_file(path, seen.st_size, seen.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _hash_file(path: Path, size: int, changed_ns: int) -> str:
    """Size and time only tell that a file that this process has already read is still the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
