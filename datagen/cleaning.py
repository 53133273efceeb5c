"""What makes a row unusable, before anything is spent on it: pure functions on the frames of an input.

Documents are seen slice by slice: of all of them only ids and hashes of the texts are held in memory.

A row that goes is a row of `dropped`, with its reason and what was in it; what goes or stays of each table adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl

from datagen.config import CleanConfig
from datagen.errors import InputError, some_of
from datagen.odd_texts import find_odd
from datagen.sources import RawInput, Slices

Counts: TypeAlias = dict[str, dict[str, Any]]  # Any: numbers, and a table of numbers by reason

STAGE = "clean"
EMPTY_TEXT = "empty_text"
TOO_SHORT = "too_short"
REPEATED_ID = "repeated_id"
ADVERSARIAL = "adversarial"
DUPLICATE_TEXT = "duplicate_text"
NOT_FINITE = "not_finite"
UNKNOWN_QUERY = "unknown_query"
UNKNOWN_DOCUMENT = "unknown_document"
DROPPED_QUERY = "dropped_query"
DROPPED_DOCUMENT = "dropped_document"
REPEATED_PAIR = "repeated_pair"
NO_POSITIVE = "no_positive"

_ROW = "_row"
_REASON = "_reason"
_SAME_AS = "same_as"
_WHY = "why"
_TITLE_AS_TEXT = "_title_as_text"
_FIRST = "_first"
_DIGEST = ("_digest", "_digest_again")
_IS_LATER = pl.col(_REASON).is_null() & (pl.col(_FIRST) < pl.col(_ROW))
_PAIR = ("query_id", "doc_id")


class CleanCorpus:
    """The documents that stay, tidied, in the slices of the input."""

    def __init__(self, raw: Slices, marks: pl.DataFrame) -> None:
        """Take the documents as given, in slices that can be read again, and the marks of all of them."""
        self._raw = raw
        self._stays = marks[_REASON].is_null()
        self.ids: pl.Series = marks["doc_id"].filter(self._stays)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ids)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """One frame a slice, in order; each with the columns of the input."""
        begin = 0
        for raw in self._raw:
            yield _tidy_documents(raw).select(raw.columns).filter(self._stays.slice(begin, len(raw)))
            begin += len(raw)


@dataclass(frozen=True)
class CleanResult:
    """Cleaned tables in the order of the input, what was dropped, and how much of what.

    `counts` has for each table that was given `given`, `kept` and `dropped` (reason to number); for the corpus also
    `title_as_text`, for the pairs also `moved` (to the document that theirs was a duplicate of).
    """

    corpus: CleanCorpus
    queries: pl.DataFrame
    pairs: pl.DataFrame
    dropped: pl.DataFrame
    counts: Counts


def clean_tables(raw: RawInput, config: CleanConfig) -> CleanResult:
    """The rows that can be used, with light normalisation of their texts.

    Dropped are: documents and queries that are empty, too short or repeated under the same id; documents that nobody
    wrote to be read (`odd_texts`), where `adversarial` says so; documents that equal an earlier one in title and text
    (their pairs move to that one); pairs that name an unknown or dropped query or document, repeat an earlier pair (the
    highest relevance stays) or have no finite relevance; queries without a positive (relevance above 0), where there
    are queries. A document with a title and no text takes the title as its text. Queries of equal text under different
    ids are kept. The slices of the corpus are read more than once.

    Raises:
        InputError: one id stands for different texts.
    """
    documents = _mark_documents(raw.corpus, config)
    counts = {"corpus": _count(documents) | {"title_as_text": int(documents[_TITLE_AS_TEXT].sum())}}
    corpus = CleanCorpus(raw.corpus, documents)
    dropped = _dropped_documents(documents, raw.corpus)
    if raw.queries.is_empty() and raw.pairs.is_empty():
        return CleanResult(corpus, raw.queries, raw.pairs, dropped, counts)
    queries, pairs = _mark_both(raw, config, documents)
    moved = int((_kept(pairs)["doc_id"] != raw.pairs["doc_id"].gather(_kept(pairs)[_ROW])).sum())
    counts |= {"queries": _count(queries), "pairs": _count(pairs) | {"moved": moved}}
    more = [_dropped(queries, raw.queries, ["query_id"]), _dropped(pairs, raw.pairs, _PAIR)]
    return CleanResult(
        corpus=corpus,
        queries=_kept(queries).select(raw.queries.columns),
        pairs=_kept(pairs).select(raw.pairs.columns),
        dropped=pl.concat([dropped, *more]),
        counts=counts,
    )


def explain(result: CleanResult, config: CleanConfig) -> list[str]:
    """One sentence for each kind of drop that the user should hear of, with the first few ids."""
    shortest = (
        f"clean.min_document_characters {config.min_document_characters} or "
        f"clean.min_query_characters {config.min_query_characters}"
    )
    sentences = [
        (UNKNOWN_DOCUMENT, "pairs that name a document that is not in the corpus", "doc_id"),
        (UNKNOWN_QUERY, "pairs that name a query that is not there", "query_id"),
        (NOT_FINITE, "pairs without a finite relevance", None),
        (EMPTY_TEXT, "rows without text", None),
        (TOO_SHORT, f"rows shorter than {shortest}", None),
        (REPEATED_ID, "rows that repeat the id and the text of an earlier one", None),
        (ADVERSARIAL, "documents that nobody wrote to be read (clean.adversarial)", "doc_id"),
        (DUPLICATE_TEXT, "documents that equal an earlier one, which takes over their pairs", None),
        (NO_POSITIVE, "queries without a positive", None),
    ]
    told = [_tell(result.dropped, *sentence) for sentence in sentences]
    return [sentence for sentence in told if sentence]


def tidy(text: pl.Expr) -> pl.Expr:
    """A text in NFC, without control characters (line breaks and tabs stay) and outer whitespace.

    Carriage returns, form feeds and the like become line breaks. Empty when nothing can be seen of the text.
    """
    plain = text.str.replace_all(r"\r\n|[\r\x0b\x0c\x85]", "\n").str.replace_all(r"[\p{Cc}&&[^\n\t]]", "")
    return plain.str.normalize("NFC").str.strip_chars().str.replace(r"^[\p{Cf}\s]+$", "")


def comparable(text: pl.Expr) -> pl.Expr:
    """A text for comparison: NFKC, lower case, no punctuation, single spaces.

    A text of nothing but punctuation stays as it is, without outer whitespace.
    """
    letters = text.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\p{P}", "").str.normalize("NFKC")
    bare = letters.str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.coalesce(bare.str.extract(r"(?s)^(.+)$"), text.str.strip_chars())


def _mark_both(raw: RawInput, config: CleanConfig, documents: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    queries = _mark_queries(raw.queries, config.min_query_characters)
    pairs = _mark_repeated_pairs(_move(_mark_pairs(raw.pairs, queries, documents), documents))
    queries = _mark_without_positive(queries, pairs)
    return queries, _drop_where(pairs, ~_is_in("query_id", _kept(queries)), DROPPED_QUERY)


def _mark(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_row_index(_ROW).with_columns(
        pl.lit(None, pl.String).alias(_REASON), pl.lit(None, pl.String).alias(_SAME_AS)
    )


def _drop_where(frame: pl.DataFrame, condition: pl.Expr, reason: str) -> pl.DataFrame:
    """The first reason stays."""
    first = pl.col(_REASON).is_null() & condition
    return frame.with_columns(pl.when(first).then(pl.lit(reason)).otherwise(_REASON).alias(_REASON))


def _with_first(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Adds `_first`: the first row still kept that equals this one in these columns; null when there is none."""
    firsts = _kept(frame).group_by(columns).agg(pl.col(_ROW).min().alias(_FIRST))
    return frame.drop(_FIRST, strict=False).join(
        firsts, on=columns, how="left", nulls_equal=True, maintain_order="left"
    )


def _tidy_documents(raw: pl.DataFrame) -> pl.DataFrame:
    """The documents with tidied texts; a title without a text becomes the text, which `_TITLE_AS_TEXT` says."""
    frame = raw.with_columns(tidy(pl.col("title")).replace("", None), tidy(pl.col("text")))
    only_title = (pl.col("text") == "") & pl.col("title").is_not_null()
    return frame.with_columns(
        pl.when(only_title).then("title").otherwise("text").alias("text"),
        pl.when(~only_title).then("title").alias("title"),
        only_title.alias(_TITLE_AS_TEXT),
    )


def _mark_documents(corpus: Slices, config: CleanConfig) -> pl.DataFrame:
    """A row for each document, without its text: doc_id, reason against it and why, what it equals, a 128-bit hash."""
    seen = [_mark_slice(raw, config.min_document_characters) for raw in corpus]
    frame = pl.concat(seen).with_row_index(_ROW).with_columns(pl.lit(None, pl.String).alias(_SAME_AS))
    frame = _mark_repeated_ids(frame, "doc_id", _DIGEST, lambda: pl.concat(_texts(raw) for raw in corpus))
    odd = find_odd(lambda: map(_whole, corpus)) if config.adversarial else pl.Series([None] * len(frame))
    frame = _drop_where(frame.with_columns(odd.cast(pl.String).alias(_WHY)), pl.col(_WHY).is_not_null(), ADVERSARIAL)
    frame = _with_first(frame, _DIGEST)
    frame = frame.with_columns(pl.when(_IS_LATER).then(pl.col("doc_id").gather(_FIRST)).alias(_SAME_AS))
    frame = _drop_where(frame, pl.col(_SAME_AS).is_not_null(), DUPLICATE_TEXT)
    frame = frame.with_columns(pl.when(pl.col(_REASON) == DUPLICATE_TEXT).then(_SAME_AS).alias(_SAME_AS))
    return frame.drop(_DIGEST)


def _mark_slice(raw: pl.DataFrame, min_characters: int) -> pl.DataFrame:
    frame = _tidy_documents(raw).with_columns(pl.lit(None, pl.String).alias(_REASON))
    length = pl.col("text").str.len_chars() + pl.col("title").str.len_chars().fill_null(0)
    frame = _mark_short(frame, "text", length < min_characters)
    both = pl.concat_str(pl.col("title").fill_null(""), "text", separator="\x1f")
    digests = [both.hash(seed).alias(name) for seed, name in enumerate(_DIGEST)]
    return frame.select("doc_id", _REASON, _TITLE_AS_TEXT, *digests)


def _whole(raw: pl.DataFrame) -> pl.Series:
    """Title and text of each document as one."""
    parts = pl.concat_str("title", "text", separator=" ", ignore_nulls=True)
    return _tidy_documents(raw).select(parts.alias("text"))["text"]


def _texts(raw: pl.DataFrame) -> pl.DataFrame:
    return _tidy_documents(raw).select("text", "origin")


def _dropped_documents(marks: pl.DataFrame, corpus: Slices) -> pl.DataFrame:
    begin, found = 0, []
    for raw in corpus:
        here = marks.slice(begin, len(raw)).with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(_ROW))
        found.append(_dropped(here, raw, ["doc_id"]))
        begin += len(raw)
    return pl.concat(found)


def _mark_queries(queries: pl.DataFrame, min_characters: int) -> pl.DataFrame:
    frame = _mark(queries).with_columns(tidy(pl.col("query")))
    frame = _mark_short(frame, "query", pl.col("query").str.len_chars() < min_characters)
    return _mark_repeated_ids(
        frame, "query_id", ["query"], lambda: frame.select(pl.col("query").alias("text"), "origin")
    )


def _mark_short(frame: pl.DataFrame, text: str, is_short: pl.Expr) -> pl.DataFrame:
    return _drop_where(_drop_where(frame, pl.col(text) == "", EMPTY_TEXT), is_short, TOO_SHORT)


def _mark_repeated_ids(
    frame: pl.DataFrame, key: str, contents: Sequence[str], texts: Callable[[], pl.DataFrame]
) -> pl.DataFrame:
    """Repeated ids are dropped where the contents are equal; `texts`, for the message, gives `text` and `origin`."""
    frame = _with_first(frame, [key])
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).gather(_FIRST)) for name in contents)
    clashes = frame.with_columns(clash=_IS_LATER & differs).filter("clash")
    if len(clashes):
        raise _clash(clashes, key, texts())
    return _drop_where(frame, _IS_LATER, REPEATED_ID)


def _clash(clashes: pl.DataFrame, key: str, texts: pl.DataFrame) -> InputError:
    places = texts.select("text", "origin", (pl.int_range(pl.len()).over("origin") + 1).alias("place"))
    both = places[[int(clashes[_FIRST][0]), int(clashes[_ROW][0])]]
    where = " and ".join(
        f"row {place:,} of {origin} ({str(words)[:40]!r})" for words, origin, place in both.iter_rows()
    )
    ids = clashes[key].unique(maintain_order=True)
    return InputError(
        f"different texts have the same {key}: {some_of(ids)}; {ids[0]!r} is in {where}: "
        "give each text an id of its own, or remove the rows that are out of date"
    )


def _mark_pairs(pairs: pl.DataFrame, queries: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    usable = documents.filter(pl.col(_REASON).is_null() | (pl.col(_REASON) == DUPLICATE_TEXT))
    frame = _drop_where(_mark(pairs), ~pl.col("relevance").is_finite().fill_null(value=False), NOT_FINITE)
    frame = _drop_where(frame, ~_is_in("query_id", queries), UNKNOWN_QUERY)
    frame = _drop_where(frame, ~_is_in("doc_id", documents), UNKNOWN_DOCUMENT)
    return _drop_where(frame, ~_is_in("doc_id", usable), DROPPED_DOCUMENT)


def _move(pairs: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """The pairs of merged documents, pointed to the document that stays."""
    merged = documents.filter(pl.col(_SAME_AS).is_not_null()).select("doc_id", pl.col(_SAME_AS).alias("stays"))
    moved = pairs.join(merged, on="doc_id", how="left", maintain_order="left")
    return moved.with_columns(pl.coalesce("stays", "doc_id").alias("doc_id")).drop("stays")


def _mark_repeated_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    best_first = _kept(pairs).sort(["relevance", _ROW], descending=[True, False])
    best = best_first.unique(_PAIR, keep="first", maintain_order=True)
    return _drop_where(pairs, ~_is_in(_ROW, best), REPEATED_PAIR)


def _mark_without_positive(queries: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    positives = pairs.filter(pl.col(_REASON).is_null() & (pl.col("relevance") > 0))
    return _drop_where(queries, ~_is_in("query_id", positives), NO_POSITIVE)


def _is_in(column: str, frame: pl.DataFrame) -> pl.Expr:
    return pl.col(column).is_in(frame[column].unique().implode())


def _kept(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col(_REASON).is_null())


def _dropped(frame: pl.DataFrame, raw: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Rows for `tables.DROPPED`: payload is the row as it was given, with numbers as texts (NaN has no JSON form)."""
    details = [_SAME_AS, *({_WHY} & {*frame.columns})]
    rows = frame.filter(pl.col(_REASON).is_not_null()).select(_ROW, pl.col(_REASON).alias("reason"), *details)
    given = raw[rows[_ROW]].cast(pl.String)
    payload = pl.struct(given.columns).struct.json_encode()
    for name in details:
        more = pl.struct(*given.columns, name).struct.json_encode()
        payload = pl.when(pl.col(name).is_not_null()).then(more).otherwise(payload)
    return pl.concat([given, rows], how="horizontal").select(
        pl.lit(STAGE).alias("stage"),
        pl.concat_str(key, separator="\t").alias("key"),
        "reason",
        payload.alias("payload"),
    )


def _count(frame: pl.DataFrame) -> dict[str, Any]:  # Any: numbers, and a table of numbers by reason
    reasons = frame[_REASON].drop_nulls().value_counts().sort(_REASON)
    return {"given": len(frame), "kept": len(_kept(frame)), "dropped": dict(reasons.iter_rows())}


def _tell(dropped: pl.DataFrame, reason: str, what: str, field: str | None) -> str | None:
    rows = dropped.filter(pl.col("reason") == reason)
    ids = rows["payload"].str.json_path_match(f"$.{field}") if field else rows["key"]
    return f"{what}: {len(rows):,} dropped, ids {some_of(ids.unique(maintain_order=True))}" if len(rows) else None
