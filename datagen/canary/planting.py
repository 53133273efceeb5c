"""The input of a canary run: the user's corpus with the plants, and the queries that they were planted for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datagen import shards
from datagen.canary.plants import EDITS, PARAPHRASED, Known, Plant
from datagen.errors import InputError
from datagen.settings.input import InputConfig
from datagen.storage import link_file, make_folder, remove_folder

MARK = "canary:"
"""How the id of a plant begins."""
_SLICE = 65_536
_LLM_SHARE = 2
"""Of so many sampled positives one is paraphrased, where a language model is named."""


@dataclass(frozen=True)
class Tables:
    """The folders of the cleaned tables that are planted into."""

    corpus: Path
    queries: Path
    pairs: Path


def sample_positives(tables: Tables, size: int, seed: int) -> pl.DataFrame:
    """Queries and a known positive of each, no positive twice: query_id, query, doc_id, title, text, language.

    The order is drawn from the seed.

    Raises:
        InputError: there is no query with a positive.
    """
    queries = shards.read(tables.queries, ["query_id", "query"])
    pairs = shards.read(tables.pairs).filter(pl.col("relevance") > 0).select("query_id", "doc_id").sort(pl.all())
    drawn = pairs.sample(fraction=1.0, shuffle=True, seed=seed).join(queries, on="query_id", maintain_order="left")
    drawn = drawn.unique("query_id", keep="first", maintain_order=True)
    drawn = drawn.unique("doc_id", keep="first", maintain_order=True).head(size)
    if drawn.is_empty():
        raise InputError("no query has a known positive, so there is nothing to make canaries of: give some pairs")
    return drawn.join(_take(tables.corpus, drawn), on="doc_id", maintain_order="left")


def paraphrase_wanted(sample: pl.DataFrame) -> pl.DataFrame:
    """The sampled rows whose positives a language model is to say once more."""
    return sample.gather_every(_LLM_SHARE)


def make_plants(sample: pl.DataFrame, paraphrases: Mapping[str, str], seed: int) -> pl.DataFrame:
    """One plant for each sampled row that has what some kind needs: query_id, kind, and the columns of a corpus.

    The kinds take turns; a positive that a kind can do nothing with is handed to the next one.

    Args:
        sample: what `sample_positives` gives.
        paraphrases: what a language model made of some of the positives, by document id.
        seed: of the run.
    """
    rows, turn = [], 0
    others = sample["text"].to_list()
    for at, row in enumerate(sample.iter_rows(named=True)):
        known = Known(row["query"], row["title"], row["text"], others[at - 1])
        if row["doc_id"] in paraphrases:
            rows.append(_row(row, PARAPHRASED, Plant(row["title"], paraphrases[row["doc_id"]])))
            continue
        kinds = [*EDITS][turn:] + [*EDITS][:turn]
        made = ((kind, EDITS[kind](known, random.Random(f"{seed} {row['query_id']}"))) for kind in kinds)  # noqa: S311
        kind, plant = next((kind, plant) for kind, plant in made if plant)
        turn = (turn + 1) % len(EDITS)
        rows.append(_row(row, kind, plant))
    return pl.DataFrame(rows, schema=_PLANT)


def write_planted(tables: Tables, plants: pl.DataFrame, folder: Path) -> InputConfig:
    """Write corpus, queries and pairs with the plants into a folder, and say how they are read.

    The corpus is that of the tables, its files under second names, and one more part.
    """
    remove_folder(folder)
    parts = sorted(tables.corpus.glob("*.parquet"))
    make_folder(folder / "corpus")
    for number, path in enumerate(parts):
        link_file(path.resolve(), folder / "corpus" / shards.part_name(number))
    shards.write_part(folder / "corpus" / shards.part_name(len(parts)), "corpus", plants.drop("query_id", "kind"))
    for name, source in (("queries", tables.queries), ("pairs", tables.pairs)):
        shards.write_parts(
            folder / name, name, [shards.read(source).join(plants, "query_id", "semi", maintain_order="left")]
        )
    where = {name: str(folder / name) for name in ("corpus", "queries")}
    return InputConfig(**where, qrels=str(folder / "pairs"))


_PLANT = dict.fromkeys(("query_id", "kind", "doc_id", "title", "text", "language", "origin"), pl.String)


def _row(row: Mapping[str, str], kind: str, plant: Plant) -> dict[str, str | None]:
    return {
        "query_id": row["query_id"],
        "kind": kind,
        "doc_id": f"{MARK}{kind}:{row['doc_id']}",
        "title": plant.title,
        "text": plant.text,
        "language": row["language"],
        "origin": MARK + kind,
    }


def _take(corpus: Path, wanted: pl.DataFrame) -> pl.DataFrame:
    columns = ["doc_id", "title", "text", "language"]
    return pl.concat(part.join(wanted, on="doc_id", how="semi") for part in shards.iterate(corpus, columns, _SLICE))
