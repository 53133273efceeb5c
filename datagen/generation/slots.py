"""Choices that depend on names alone, never on the order in which rows come.

A request is a pure function of (run seed, row id), so adding, removing or reordering passages changes no other row.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping


def digest(*names: object, size: int = 8) -> bytes:
    """BLAKE2b of the names, `size` bytes (1 to 64); ("ab", "c") and ("a", "bc") differ."""
    return hashlib.blake2b(_framed(names), digest_size=size).digest()


def uniform(seed: object, *names: object) -> float:
    """A number in [0, 1) that only the seed and the names decide."""
    return (int.from_bytes(digest(seed, *names), "little") >> 11) * 2.0**-53


def weighted_order(weights: Mapping[str, float], seed: object, *names: object) -> tuple[str, ...]:
    """Names in the order of drawing without replacement by weight.

    The first is drawn with probability weight / sum of weights, the second likewise among the others, and so on.
    A name of weight 0 is never drawn. The order of `weights` has no influence.
    """
    keys = {name: -math.log1p(-uniform(seed, *names, name)) / weight for name, weight in weights.items() if weight > 0}
    return tuple(sorted(keys, key=lambda name: (keys[name], name)))


def weighted_choice(weights: Mapping[str, float], seed: object, *names: object) -> str:
    """One name, drawn by weight.

    Raises:
        ValueError: no weight is above 0.
    """
    order = weighted_order(weights, seed, *names)
    if not order:
        raise ValueError(f"at least one weight must be above 0: {dict(weights)}")
    return order[0]


def shuffled(count: int, seed: object, *names: object) -> list[int]:
    """The numbers 0 to count - 1 in an order that only the seed and the names decide."""
    stream = hashlib.shake_128(_framed((seed, *names))).digest(8 * count)
    return sorted(range(count), key=lambda number: (stream[8 * number : 8 * number + 8], number))


def _framed(names: Iterable[object]) -> bytes:
    return "".join([f"{len(text)}:{text}" for text in map(str, names)]).encode()
