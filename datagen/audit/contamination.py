"""Queries and passages of a training set that are in test sets, too.

By words: 13 in a row in common (Brown et al., arXiv 2005.14165, appendix C); a text of fewer words counts only where
the whole texts are equal. Test queries are also told by nearly the same words, as the closure does, and by vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datagen.audit.findings import NEAR_TEST_QUERY, TEST_PASSAGE, TEST_QUERY, report_rows, report_uses
from datagen.audit.material import Material
from datagen.documents import render_documents
from datagen.errors import InputError
from datagen.mining.near_queries import join_near_queries
from datagen.mining.near_texts import hash_shingles, parts_by_size
from datagen.selection.arrays import Int64, robust_spread, sample_rows
from datagen.settings.input import InputConfig
from datagen.sources import load_input, load_labels
from datagen.vectors import TextVectors

WORDS = 13
"""Words in a row that two texts must share."""
BOILERPLATE = 10
"""Words in a row that stand in more training texts than this are no sign: a licence, a form of address."""
_BLOCK = 4096
_SAMPLE = 4096


@dataclass(frozen=True)
class TestTexts:
    """The texts of some test sets."""

    queries: pl.DataFrame
    """name (set and query id) and text."""
    positives: pl.DataFrame
    """name (set and document id) and text."""


def load_test_sets(folders: Sequence[Path], template: str) -> TestTexts:
    """The judged queries of BEIR folders and their positives: those of qrels/test.tsv, or of all qrels without one.

    Args:
        folders: each with corpus.jsonl, queries.jsonl and qrels.
        template: how title and text become one document.

    Raises:
        InputError: a folder has not that layout, or holds no positive.
    """
    sets = [_load(folder, template) for folder in folders]
    return TestTexts(pl.concat(part.queries for part in sets), pl.concat(part.positives for part in sets))


def find_by_words(material: Material, tests: TestTexts, near_query: float | None) -> pl.DataFrame:
    """Rows whose query is a test query by its words, and uses of passages that share words with a test set.

    Passages are compared with test queries and with their positives; `detail` names the one, and how it was told.
    """
    queries = _shared(material.queries["query"], tests.queries)
    near = _near(material.queries["query"], tests.queries, near_query)
    named = pl.select(pl.coalesce(_told(queries, "words in common with"), _told(near, "nearly the words of")))
    told = named.to_series()
    known = pl.concat([tests.queries, tests.positives])
    passages = _told(_shared(material.passages["text"], known), "words in common with")
    detail = passages.gather(material.uses["passage"])
    flags = detail.is_not_null()
    rows = report_rows(material.queries, told.is_not_null().to_numpy(), TEST_QUERY, detail=told.drop_nulls())
    uses = material.uses.filter(flags).with_columns(detail=detail.filter(flags))
    return pl.concat([rows, report_uses(uses, TEST_PASSAGE, detail=pl.col("detail"))])


def find_by_vectors(
    material: Material, tests: TestTexts, vectors: tuple[TextVectors, Int64, Int64], reach: float, seed: int
) -> pl.DataFrame:
    """Rows whose query the teacher can hardly tell from a test query; the score is how far below it scores, in spreads.

    The unit is the robust spread of a test query's scores over a sample of the training queries: the same rows are
    found whatever the scale of the teacher.

    Args:
        material: the data set.
        tests: the test sets.
        vectors: the store of query vectors, and the places there of the queries and of the test queries.
        reach: spreads below the score of a test query with itself.
        seed: of the sample.
    """
    store, own, theirs = vectors
    sample = store.take(own[sample_rows(len(own), _SAMPLE, seed)])
    best, gap = np.zeros(len(own), np.int64), np.full(len(own), np.inf)
    for begin in range(0, len(theirs), _BLOCK):
        test = store.take(theirs[begin : begin + _BLOCK])
        spread = np.maximum(robust_spread(test @ sample.T), 1e-9)
        for rows in np.split(np.arange(len(own)), np.arange(_BLOCK, len(own), _BLOCK)):
            below = (np.einsum("ij,ij->i", test, test) - store.take(own[rows]) @ test.T) / spread
            nearest = below.argmin(axis=1)
            least = below[np.arange(len(rows)), nearest]
            closer = least < gap[rows]
            best[rows[closer]], gap[rows[closer]] = begin + nearest[closer], least[closer]
    flags = gap <= reach
    names = "vector near " + tests.queries["name"].gather(best[flags])
    return report_rows(material.queries, flags, NEAR_TEST_QUERY, gap[flags], names)


def _load(folder: Path, template: str) -> TestTexts:
    raw = load_input(InputConfig(beir=str(folder)))
    test = [path for name in ("test.tsv", "test.tsv.gz") if (path := folder / "qrels" / name).is_file()]
    pairs = load_labels(str(test[0])) if test else raw.pairs
    positives = pairs.filter(pl.col("relevance") > 0)
    if positives.is_empty():
        raise InputError(f"the test set {str(folder)!r} names no positive: its qrels need relevance above 0")
    prefix = f"{folder.resolve().name} "
    queries = raw.queries.join(positives.select("query_id").unique(), on="query_id", how="semi")
    wanted = positives.select("doc_id").unique()
    documents = (frame.join(wanted, on="doc_id", how="semi") for frame in raw.corpus)
    texts = pl.concat(frame.select("doc_id", text=render_documents(frame, template)) for frame in documents)
    return TestTexts(
        queries.select(name=prefix + pl.col("query_id"), text="query"),
        texts.select(name=prefix + pl.col("doc_id"), text="text"),
    )


def _shared(texts: pl.Series, known: pl.DataFrame) -> pl.Series:
    """The name of the first known text that shares words with each text; null for most."""
    table = _shingles(known["text"]).rename({"text": "known"}).unique("shingle", keep="first", maintain_order=True)
    parts = parts_by_size(np.arange(len(texts)), texts)
    found = [_shingles(texts.gather(part), part).join(table, on="shingle") for part in parts]
    hits = pl.concat([_shingles(texts.head(0)).join(table, on="shingle"), *found])
    often = (pl.col("text").n_unique().over("shingle") > BOILERPLATE) & ~pl.col("whole")
    first = hits.filter(~often).unique("text", keep="first", maintain_order=True)
    names = first.select("text", name=known["name"].gather(first["known"]))
    return _placed(names, len(texts))


def _shingles(texts: pl.Series, numbers: Int64 | None = None) -> pl.DataFrame:
    """The shingles of texts with the number of each text, and whether the text is that one shingle as a whole."""
    schema = {"text": pl.Int64, "shingle": pl.UInt64, "whole": pl.Boolean}
    if not len(texts):
        return pl.DataFrame(schema=schema)
    hashes, starts = hash_shingles(texts, WORDS)
    sizes = np.diff(starts.astype(np.int64)).astype(np.int64)
    own = np.arange(len(texts)) if numbers is None else numbers
    columns = {"text": np.repeat(own, sizes), "shingle": hashes, "whole": np.repeat(sizes == 1, sizes)}
    return pl.DataFrame(columns, schema=schema)


def _near(texts: pl.Series, tests: pl.DataFrame, likeness: float | None) -> pl.Series:
    """The name of a test query that asks the same in nearly the same words; null for most."""
    both = pl.concat([texts.rename("text"), tests["text"]])
    groups = np.unique(both.hash().to_numpy(), return_inverse=True)[1]
    family = pl.Series("family", join_near_queries(both, groups, likeness).family)
    known = pl.DataFrame({"family": family.tail(len(tests)), "name": tests["name"]}).unique("family", keep="first")
    own = family.head(len(texts)).to_frame().with_row_index("text")
    return _placed(own.join(known, on="family").select(pl.col("text").cast(pl.Int64), "name"), len(texts))


def _placed(names: pl.DataFrame, n_texts: int) -> pl.Series:
    numbers = pl.DataFrame({"text": np.arange(n_texts)})
    return numbers.join(names, on="text", how="left", maintain_order="left")["name"]


def _told(names: pl.Series, how: str) -> pl.Series:
    return pl.select(how + pl.lit(" ") + names).to_series() if len(names) else names
