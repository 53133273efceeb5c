"""How much memory a run may use: sizes as people write them, and what this machine has free.

What is free is what the kernel says is available, or what the control group of the process (a container, a batch
job) leaves of its limit, whichever is less.
"""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

MIB, GIB = 2**20, 2**30
SMALLEST = 256 * MIB
"""Less than this holds no teacher and no block of vectors worth the name."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": MIB, "gi": GIB, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_UNLIMITED = 2**60
"""What control groups of version 1 say when there is no limit is above this."""


def parse_size(text: object) -> object:
    """Bytes of `4GiB`, `500 MB` or `1.5g`; what is no text is handed on as it is.

    Raises:
        ValueError: the text is no size.
    """
    if not isinstance(text, str):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write it as 4GiB, 500MiB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2].lower()])


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=SMALLEST)]
"""A setting in bytes, which may be written as 4GiB; at least 256MiB."""


def resolve_memory(setting: int | None) -> int:
    """Bytes that a run may use: the setting, or half of what is free, at least 256 MiB."""
    return max(SMALLEST, free_memory() // 2) if setting is None else setting


def resident_memory() -> int:
    """Bytes of memory that this process holds now; where the system does not say, the most it has held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still take without anything being swapped out or killed.

    Args:
        root: where `proc` and `sys` are found.
    """
    rooms = [room for room in (_available(root), *_group_rooms(root)) if room is not None]
    return min(rooms) if rooms else _installed() // 2


def _available(root: Path) -> int | None:
    """MemAvailable of Linux; None elsewhere."""
    info = root / "proc/meminfo"
    if not info.exists():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _group_rooms(root: Path) -> list[int]:
    """What each control group around this process leaves of its limit."""
    table = root / "proc/self/cgroup"
    if not table.exists():
        return []
    rooms = []
    for line in table.read_text(encoding="utf-8").splitlines():
        _, kinds, path = line.split(":", maxsplit=2)
        if kinds == "":
            rooms += _rooms(root / "sys/fs/cgroup", path, "memory.max", "memory.current")
        elif "memory" in kinds.split(","):
            rooms += _rooms(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return rooms


def _rooms(mount: Path, path: str, limit: str, used: str) -> list[int]:
    """Of the group and all above it; inside a container the mount itself is the group."""
    own = mount / path.lstrip("/")
    rooms = []
    for folder in (own, *own.parents):
        if folder.is_relative_to(mount) and (folder / limit).exists() and (folder / used).exists():
            most = (folder / limit).read_text(encoding="utf-8").strip()
            if most != "max" and int(most) < _UNLIMITED:
                rooms.append(max(0, int(most) - _in_use(folder, used)))
    return rooms


def _in_use(folder: Path, used: str) -> int:
    """What a group holds and cannot give back: file pages that nobody used of late are free."""
    taken = int((folder / used).read_text(encoding="utf-8"))
    stat = folder / "memory.stat"
    text = stat.read_text(encoding="utf-8") if stat.exists() else ""
    idle = re.search(r"^(?:total_)?inactive_file (\d+)", text, re.MULTILINE)
    return max(0, taken - int(idle[1])) if idle else taken


def _installed() -> int:
    """Bytes of memory that are built in, where the system says no more than that."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
