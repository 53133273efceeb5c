"""What the settings of mining do to false negatives and to hard negatives of which it is known.

    python -m benchmarks.canary --data FOLDER [FOLDER …] [--sample 300] [--margin M …] [--reranker none …] [--cache DIR]
    python -m benchmarks.canary --adversarial --data FOLDER [FOLDER …] [--cache DIR]

The first prints what `datagen canary` measures: recall (share of plants in reach that are kept out of the negatives)
and retention (share of natural hard negatives that may be negatives), each with its exact 95 % interval, and the
margin that it suggests. The second plants adversarial passages into each corpus and prints how many of each kind are
found, and how many natural passages are flagged.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.judged import JudgedSet, read_judged
from benchmarks.ours import set_vectors
from datagen.backends.protocols import Float32, Teacher
from datagen.backends.registry import Registry
from datagen.canary.measure import Share
from datagen.canary.run import run_canary
from datagen.config import RunConfig, build_config
from datagen.mining.intruders import DEPTH, SAMPLE
from datagen.odd_texts import find_odd
from datagen.selection.intruders import find_intruders

EACH = 10
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SIGNS = "{}[]()<>/\\|#@!$%^&*~`+=_-;:'\"ab01"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--margin", nargs="+", type=float, default=[None], help="of the policy adaptive")
    parser.add_argument("--reranker", nargs="+", default=["none"])
    parser.add_argument("--adversarial", action="store_true")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cache = arguments.cache or Path(name) / "cache"
        if arguments.adversarial:
            _measure_adversarial(arguments.data, cache)
        else:
            _measure_canaries(arguments, cache, Path(name))


def _measure_canaries(arguments: argparse.Namespace, cache: Path, home: Path) -> None:
    print("| set | margin | reranker | recall | retention | suggested margin |\n| --- | --- | --- | --- | --- | ---: |")
    for folder, margin, reranker in itertools.product(arguments.data, arguments.margin, arguments.reranker):
        mine = {} if margin is None else {"margin": margin}
        config = _config(folder, cache, home / "canary", mine=mine, denoise={"reranker": reranker})
        found = run_canary(config, arguments.sample, fresh=True)
        told = "default" if margin is None else f"{margin:g}"
        shares = f"{_told(found.recall)} | {_told(found.retention)}"
        print(f"| {folder.name} | {told} | {Path(reranker).name} | {shares} | {found.suggested} |")
        for kind in found.kinds.iter_rows(named=True):
            print(f"<!-- {kind['kind']}: {kind['eligible']} of {kind['in_reach']} eligible; {kind['reasons']} -->")


def _config(folder: Path, cache: Path, out: Path, **sections: object) -> RunConfig:
    return build_config({"input": {"beir": str(folder)}, "out": out, "cache": cache, **sections})


def _told(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.3f} ({low:.3f}–{high:.3f}) of {share.of:,}"


def _measure_adversarial(folders: list[Path], cache: Path) -> None:
    print("| set | passages | natural flagged | planted, found |\n| --- | ---: | ---: | --- |")
    for folder in folders:
        judged = read_judged(folder)
        texts = list(judged.documents.values())
        flagged, found = _find_texts(texts)
        more, intruders = _find_intruders(judged, _config(folder, cache, cache / "unused"))
        told = ", ".join(f"{kind} {hits} of {of}" for kind, (hits, of) in {**found, **intruders}.items())
        print(f"| {folder.name} | {len(texts):,} | {flagged + more} | {told} |", flush=True)


def _find_texts(texts: list[str]) -> tuple[int, dict[str, tuple[int, int]]]:
    """Natural texts flagged, and of each kind planted those that are found and how many there are."""
    rng = random.Random(0)  # noqa: S311
    each = max(1, min(EACH, len(texts) // 200))
    planted = [(kind, make(texts, rng)) for kind, make in _TEXT_KINDS.items() for _ in range(each)]
    whole = pl.Series([*texts, *(text for _, text in planted)])
    told = find_odd(lambda: iter([whole]))
    found = {
        kind: (sum(why is not None for (k, _), why in zip(planted, told[len(texts) :], strict=True) if k == kind), each)
        for kind in _TEXT_KINDS
    }
    return len(texts) - told[: len(texts)].null_count(), found


def _gibberish(texts: list[str], rng: random.Random) -> str:
    return " ".join("".join(rng.choices(_LETTERS, k=rng.randint(3, 9))) for _ in range(40))


def _shuffled(texts: list[str], rng: random.Random) -> str:
    letters = list((rng.choice(texts) + rng.choice(texts))[:300])
    return "".join(rng.sample(letters, len(letters)))


def _stuffed(texts: list[str], rng: random.Random) -> str:
    return " ".join(rng.choices(rng.choice(texts).split()[:5], k=60))


def _looped(texts: list[str], rng: random.Random) -> str:
    return " ".join(rng.choice(texts).split()[:10] * 9)


def _signs(texts: list[str], rng: random.Random) -> str:
    return "".join(rng.choices(_SIGNS, k=200))


_TEXT_KINDS: dict[str, Callable[[list[str], random.Random], str]] = {
    "gibberish": _gibberish,
    "shuffled letters": _shuffled,
    "stuffed": _stuffed,
    "looped": _looped,
    "symbols": _signs,
}


def _find_intruders(judged: JudgedSet, config: RunConfig) -> tuple[int, dict[str, tuple[int, int]]]:
    """Natural passages flagged as intruders, and of two planted ones those that are found.

    `trigger` is a row of words chosen one by one so that its vector comes near to half of the queries, as the
    universal triggers of corpus poisoning do without gradients; `aimed vector` is the mean of those queries.
    """
    documents, queries = set_vectors(judged, config)
    order = np.random.default_rng(0).permutation(len(queries))
    queries = queries[order[:SAMPLE]]
    target = queries[: len(queries) // 2].mean(axis=0)
    trigger = _write_trigger(Registry(config).teacher(), list(judged.queries.values()), target)
    planted = {"trigger": trigger, "aimed vector": target / np.linalg.norm(target)}
    natural = find_intruders(_nearest(queries, documents), queries, len(documents)).documents
    found = {}
    for kind, vector in planted.items():
        both = np.vstack([documents, vector[None]]).astype(np.float32)
        intruders = find_intruders(_nearest(queries, both), queries, len(both)).documents
        found[kind] = (int(len(documents) in intruders), 1)
    return len(natural), found


def _nearest(queries: Float32, documents: Float32) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.argpartition(-(queries @ documents.T), DEPTH, axis=1)[:, :DEPTH]


def _write_trigger(teacher: Teacher, queries: list[str], target: Float32) -> Float32:
    """The vector of twelve words of queries, each the best of sixty drawn ones."""
    rng = random.Random(1)  # noqa: S311
    vocabulary = sorted({word for query in rng.sample(queries, min(400, len(queries))) for word in query.split()})
    words: list[str] = []
    best = np.empty(0, np.float32)
    for _ in range(12):
        tried = [[*words, word] for word in rng.sample(vocabulary, min(60, len(vocabulary)))]
        vectors = teacher.encode([" ".join(each) for each in tried], "document")
        chosen = int((vectors @ target).argmax())
        words, best = tried[chosen], vectors[chosen]
    return best


if __name__ == "__main__":
    main()
