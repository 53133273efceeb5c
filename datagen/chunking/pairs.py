"""Known pairs that name a document which was cut: which of its passages is meant.

The passage that shares most words with the query becomes the positive, each word counting the more the fewer
passages of this document have it. All of them would be too many (most of a long document answers nothing), and
the others are still never negatives of the query: `documents.join_parents` and the closure see to that.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from datagen.generation.words import words

_ROW = "_row"
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


class PairPointer:
    """Sees the passages slice by slice, and then points the pairs to them."""

    def __init__(self, pairs: pl.DataFrame, queries: pl.DataFrame) -> None:
        """Keep both tables; `pairs` names documents, `queries` has the texts."""
        self._pairs = pairs.with_row_index(_ROW)
        self._queries = queries.select("query_id", "query")
        self._chosen: list[tuple[int, str]] = []
        self.without_shared_words = 0

    @property
    def moved(self) -> int:
        """Pairs that now name a passage."""
        return len(self._chosen)

    def see(self, cut: pl.DataFrame) -> None:
        """Choose among the passages of these documents (parent, doc_id, title, text), all passages of each."""
        named = self._pairs.join(cut.select("parent").unique(), left_on="doc_id", right_on="parent", how="semi")
        asked = named.join(self._queries, on="query_id", how="left", maintain_order="left")
        wanted = cut.join(asked.select("doc_id").unique(), left_on="parent", right_on="doc_id", how="semi")
        passages = dict(
            wanted.group_by("parent").agg(pl.col("doc_id", "title", "text")).rows_by_key("parent", unique=True)
        )
        for parent, rows in asked.select("doc_id", _ROW, "query").rows_by_key("doc_id").items():
            ids, titles, texts = passages[parent]
            shown = [f"{title or ''} {text}" for title, text in zip(titles, texts, strict=True)]
            for (row, _), (best, shares) in zip(rows, _best(shown, [query or "" for _, query in rows]), strict=True):
                self._chosen.append((row, ids[best]))
                self.without_shared_words += not shares

    def pointed(self) -> pl.DataFrame:
        """All pairs in their order, those of cut documents with the passage in place of the document."""
        chosen = pl.DataFrame(self._chosen, schema={_ROW: pl.get_index_type(), "passage": pl.String}, orient="row")
        joined = self._pairs.join(chosen, on=_ROW, how="left", maintain_order="left")
        return joined.with_columns(pl.coalesce("passage", "doc_id").alias("doc_id")).drop(_ROW, "passage")


def _best(passages: Sequence[str], queries: Sequence[str]) -> Iterator[tuple[int, bool]]:
    """For each query the passage of most shared words, the first of equals, and whether any is told apart by them."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, passage in enumerate(passages):
        for term in _terms(passage):
            places[term].append(number)
    for query in queries:
        scores = np.zeros(len(passages))
        for term in sorted(_terms(query)):
            if found := places.get(term):
                scores[found] += math.log(len(passages) / len(found))
        yield int(scores.argmax()), bool(scores.any())


def _terms(text: str) -> set[str]:
    """The words; of a word in a script without spaces its pairs of letters."""
    found = set(words(text))
    joined = {word for word in found if not word.isascii() and _UNSPACED.search(word)}
    return (found - joined).union(word[at : at + 2] for word in joined for at in range(max(1, len(word) - 1)))
