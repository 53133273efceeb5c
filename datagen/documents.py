"""How a corpus row becomes the one text that is embedded, reranked and trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Int64
from datagen.cleaning import comparable
from datagen.tables import GENERATED_ORIGIN, PASSAGE_MARK

SLICE = 65_536
"""Documents whose texts are in memory at once."""


def iterate_documents(corpus: Path, template: str) -> Iterator[pl.Series]:
    """The documents of a corpus table in row order, in slices of at most `SLICE`; see `render_documents`."""
    for frame in shards.iterate(corpus, ["title", "text"], SLICE):
        yield render_documents(frame, template)


def render_documents(corpus: pl.DataFrame, template: str) -> pl.Series:
    """One text a corpus row, in row order: the template with `{title}` and `{text}` filled in, outer space cut.

    The default template, title, one space, text, is the BEIR convention; a row without a title is its text.
    """
    parts = [_part(piece) for piece in re.split(r"(\{title\}|\{text\})", template) if piece]
    return corpus.select(pl.concat_str(parts).str.strip_chars().alias("document"))["document"]


def take_documents(corpus: Path, template: str, ids: pl.Series) -> pl.DataFrame:
    """Columns `doc_id` and `text` of these documents, in the order of the corpus; no other text stays in memory."""
    wanted = ids.unique().alias("doc_id").to_frame()
    columns = ["doc_id", "title", "text"]
    slices = (frame.join(wanted, on="doc_id", how="semi") for frame in shards.iterate(corpus, columns, SLICE))
    return pl.concat(frame.select("doc_id", text=render_documents(frame, template)) for frame in slices)


def text_groups(documents: Iterable[pl.Series], queries: pl.Series) -> tuple[Int64, Int64]:
    """A number for each text, the same for two texts when they are equal after normalisation.

    Texts are told apart by 64 bits of a hash: among ten million, two are taken for one with a chance of 3 in a million.

    Args:
        documents: slices of the documents, one in memory at a time.
        queries: the queries.

    Returns:
        Numbers of the documents and of the queries, int64, from one numbering.
    """
    hashes = [_hash_comparable(texts) for texts in documents]
    sizes = sum(map(len, hashes))
    groups = np.unique(np.concatenate([*hashes, _hash_comparable(queries)]), return_inverse=True)[1]
    return groups[:sizes], groups[sizes:]


def _hash_comparable(texts: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return texts.alias("text").to_frame().select(comparable(pl.col("text")).hash())["text"].to_numpy()


def join_parents(groups: pl.Series, corpus: pl.DataFrame) -> pl.Series:
    """The groups, with a passage that generation cut out of another put into the group of that other.

    Args:
        groups: text group of each document, in the order of the corpus.
        corpus: with doc_id, origin and meta; generated rows name their `parent` in meta.
    """
    rows = corpus.select("doc_id", "origin", "meta", group=groups).with_row_index("row")
    generated = rows.filter(pl.col("origin").str.starts_with(GENERATED_ORIGIN))
    named = generated.select("row", parent=pl.col("meta").str.json_path_match("$.parent"))
    if named.is_empty():
        return groups
    known = rows.select(parent="doc_id", joined="group").join(named, on="parent", how="inner")
    both = rows.join(known.select("row", "joined"), on="row", how="left", maintain_order="left")
    return both.select(pl.coalesce("joined", "group").alias("group"))["group"]


def cut_from_same(documents: pl.Series, corpus: pl.DataFrame) -> pl.DataFrame:
    """For each of these documents the passages that were cut out of the same longer document.

    Args:
        documents: numbers of documents, positions in the corpus, in any order, repeated or not.
        corpus: with doc_id, origin and meta; a passage names its `parent` and is called PARENT#NUMBER.

    Returns:
        Columns `document` and `kin`, both numbers, and `apart`, how many passages lie from one to the other, 1 for
        neighbours; no row for a document that was not cut out of another.
    """
    parent = pl.col("meta").str.json_path_match("$.parent")
    number = pl.col("meta").str.json_path_match("$.chunk")
    generated = pl.col("origin").str.starts_with(GENERATED_ORIGIN)
    cut = pl.col("doc_id") == parent + PASSAGE_MARK + number
    rows = corpus.with_row_index("document").select(
        pl.col("document").cast(pl.Int64),
        "doc_id",
        parent=pl.when(generated).then(parent),
        root=pl.when(cut).then(parent),
        number=pl.when(cut).then(number.cast(pl.Int64, strict=False)),
    )
    roots = rows.filter(pl.col("root").is_not_null()).select("doc_id", of_parent="root", at_parent="number")
    rows = rows.join(roots, left_on="parent", right_on="doc_id", how="left").select(
        "document", root=pl.coalesce("root", "of_parent"), number=pl.coalesce("number", "at_parent")
    )
    rows = rows.filter(pl.col("root").is_not_null())
    asked = rows.join(documents.unique().alias("document").cast(pl.Int64).to_frame(), on="document", how="semi")
    kin = asked.join(rows.select("root", kin="document", at="number"), on="root")
    return kin.select("document", "kin", apart=(pl.col("number") - pl.col("at")).abs()).sort("document", "kin")


def _part(piece: str) -> pl.Expr:
    if piece in ("{title}", "{text}"):
        return pl.col(piece.strip("{}")).fill_null("")
    return pl.lit(piece.replace("{{", "{").replace("}}", "}"))
