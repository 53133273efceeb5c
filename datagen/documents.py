"""How a corpus row becomes the one text that is embedded, reranked and trained on."""

from __future__ import annotations

import re

import polars as pl

from datagen.cleaning import comparable
from datagen.tables import GENERATED_ORIGIN


def render_documents(corpus: pl.DataFrame, template: str) -> pl.Series:
    """One text a corpus row, in row order: the template with `{title}` and `{text}` filled in, outer space cut.

    The default template, title, one space, text, is the BEIR convention; a row without a title is its text.
    """
    parts = [_part(piece) for piece in re.split(r"(\{title\}|\{text\})", template) if piece]
    return corpus.select(pl.concat_str(parts).str.strip_chars().alias("document"))["document"]


def text_groups(documents: pl.Series, queries: pl.Series) -> tuple[pl.Series, pl.Series]:
    """A number for each text, the same for two texts exactly when they are equal after normalisation.

    Returns:
        Numbers of the documents and of the queries, int64, from one numbering.
    """
    texts = pl.concat([documents.rename("text"), queries.rename("text")]).to_frame()
    groups = texts.select(comparable(pl.col("text")).rank("dense").cast(pl.Int64))["text"]
    return groups.head(len(documents)), groups.tail(len(queries))


def join_parents(groups: pl.Series, corpus: pl.DataFrame) -> pl.Series:
    """The groups, with a passage that generation cut out of another put into the group of that other.

    Args:
        groups: text group of each document, in the order of the corpus.
        corpus: with doc_id, origin and meta; generated rows name their `parent` in meta.
    """
    generated = pl.col("origin").str.starts_with(GENERATED_ORIGIN)
    parent = pl.when(generated).then(pl.col("meta").str.json_path_match("$.parent"))
    known = corpus.select(parent="doc_id", group=groups)
    joined = corpus.select(parent=parent).join(known, on="parent", how="left", maintain_order="left")
    return joined.select(pl.coalesce("group", groups).alias("group"))["group"]


def _part(piece: str) -> pl.Expr:
    if piece in ("{title}", "{text}"):
        return pl.col(piece.strip("{}")).fill_null("")
    return pl.lit(piece.replace("{{", "{").replace("}}", "}"))
