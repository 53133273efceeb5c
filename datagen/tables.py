"""The Arrow schemas of a run folder: what other people's jobs depend on.

A column is never renamed or retyped without a new `FORMAT_VERSION`, which `run.json` carries.
Ids are strings, scores are finite, lists are never null but for `sources`.
"""

from __future__ import annotations

import pyarrow as pa

FORMAT_VERSION = 1

DECISION_NEGATIVE = "negative"
DECISION_IGNORED = "ignored"
DECISION_POSITIVE = "positive"

GENERATED = "generated"
"""The origin of a query, and the source of a pair, that a generator wrote."""

GENERATED_ORIGIN = "generate:"
"""How the origin of a passage begins that a generator wrote."""

PASSAGE_MARK = "#"
"""What stands between the id of a document and the number of a passage that was cut out of it."""

EARLIER_CANDIDATES = "earlier_candidates"
"""Where a run that mines again keeps the ledger of the run before it; not one of its own tables."""

_TEXT = pa.string()
_SCORE = pa.float32()


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


CORPUS = pa.schema(
    [
        _required("doc_id", _TEXT),
        pa.field("title", _TEXT),
        _required("text", _TEXT),
        pa.field("language", _TEXT),
        _required("origin", _TEXT),
        pa.field("meta", _TEXT),
    ]
)

QUERIES = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("query", _TEXT),
        pa.field("instruction", _TEXT),
        pa.field("language", _TEXT),
        _required("origin", _TEXT),
        pa.field("slots", _TEXT),
        pa.field("generator", _TEXT),
    ]
)

PAIRS = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("doc_id", _TEXT),
        _required("relevance", _SCORE),
        _required("source", _TEXT),
    ]
)

FOUND = pa.struct([_required("source", _TEXT), _required("rank", pa.int32()), pa.field("score", _SCORE)])
"""A source that found a candidate, its place there, from 1, and its score there, if it has scores."""

CANDIDATES = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("doc_id", _TEXT),
        _required("source", _TEXT),
        _required("rank", pa.int32()),
        _required("teacher_score", _SCORE),
        pa.field("reranker_score", _SCORE),
        pa.field("lexical_score", _SCORE),
        pa.field("p_false_negative", _SCORE),
        _required("decision", _TEXT),
        _required("reason", _TEXT),
        pa.field("tier", _TEXT),
        pa.field("sources", pa.list_(pa.field("element", FOUND, nullable=False))),
        pa.field("agreement", _SCORE),
        pa.field("round", pa.int32()),
        pa.field("judge_grade", _SCORE),
    ]
)
"""`sources` is null where a run has one source, `agreement` where it has one teacher; both are null for a known
positive that no source found. `round` says in which round of mining the run's own teacher was asked for the candidates
of the query: 0 in a first run, one more for what a refresh searches. `judge_grade`, 0 to 3, is the mean of what the
judges gave; null for what none has judged."""

REFRESH = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("overlap", pa.float64()),
        _required("unseen", pa.float64()),
        pa.field("checked_overlap", pa.float64()),
        _required("searched", pa.bool_()),
        _required("earlier_round", pa.int32()),
    ]
)
"""One row for each query that is mined again: the share of its first candidates that are still the first for the new
teacher, as far as a sample of the corpus shows; how many documents outside the sample are expected among them; that
share by a real search where one was made; whether the query is searched anew; and the round of its earlier candidates.
"""

MARGINS = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("spread", _SCORE),
        pa.field("floor", _SCORE),
        pa.field("limit", _SCORE),
    ]
)
"""One row for each query: the robust spread of its teacher scores over the corpus, the score at the floor rank (null
where the search gave none), and the highest teacher score that the margin allowed a negative (null: no limit)."""

CALIBRATION = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("replay", pa.int32()),
        _required("doc_id", _TEXT),
        pa.field("label", pa.bool_()),
        _required("p_false_negative", _SCORE),
        _required("rank", pa.int32()),
        _required("gap", _SCORE),
    ]
)
"""What replays of judged queries made negatives under some cut: whether each is relevant (null: not judged; where the
reranker is the evidence, as it sees it), the chance of that by a model that has not seen its query, its rank, and how
far it scores below the positive, in spreads."""

DROPPED = pa.schema(
    [_required("stage", _TEXT), _required("key", _TEXT), _required("reason", _TEXT), _required("payload", _TEXT)]
)

JUDGEMENTS = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("doc_id", _TEXT),
        _required("judge", _TEXT),
        _required("mode", _TEXT),
        pa.field("grade", pa.int32()),
        pa.field("span", _TEXT),
        pa.field("label", pa.int32()),
        _required("status", _TEXT),
        pa.field("words", _TEXT),
        pa.field("cost", pa.float64()),
    ]
)
"""One row for each candidate and judge that was asked: its grade, 0 to 3 (of a quotation: 3 found, 0 none), the piece
of the passage that it quoted, the label (1 relevant, 0 not), its reason in its own words, and the candidate's share of
the cost. `status` is `ok`, or why there is no valid answer and grade and label are null."""

GENERATIONS = pa.schema(
    [
        _required("row_id", _TEXT),
        _required("doc_id", _TEXT),
        _required("recipe", _TEXT),
        _required("generator", _TEXT),
        _required("slots", _TEXT),
        _required("prompt", _TEXT),
        pa.field("answer", _TEXT),
        _required("status", _TEXT),
        _required("reason", _TEXT),
        pa.field("rung", _TEXT),
        _required("asks", pa.int32()),
        _required("prompt_tokens", pa.int64()),
        _required("completion_tokens", pa.int64()),
        pa.field("cost", pa.float64()),
        pa.field("steps", _TEXT),
    ]
)
"""One row for each row that a language model was asked for, accepted or not."""

TASKS = pa.schema(
    [
        _required("task_id", _TEXT),
        _required("group", _TEXT),
        _required("task", _TEXT),
        _required("topic", _TEXT),
        _required("generator", _TEXT),
        _required("row_id", _TEXT),
    ]
)
"""What a brainstorm has thought up for rows to be written for."""

POSITIVE = pa.struct(
    [
        _required("doc_id", _TEXT),
        _required("text", _TEXT),
        _required("teacher_score", _SCORE),
        pa.field("reranker_score", _SCORE),
        pa.field("soft_label", _SCORE),
    ]
)

NEGATIVE = pa.struct(
    [
        _required("doc_id", _TEXT),
        _required("text", _TEXT),
        _required("source", _TEXT),
        _required("rank", pa.int32()),
        _required("teacher_score", _SCORE),
        pa.field("reranker_score", _SCORE),
        pa.field("p_false_negative", _SCORE),
        pa.field("tier", _TEXT),
        pa.field("soft_label", _SCORE),
    ]
)
"""`soft_label`, here and in `POSITIVE`, is null without `export.soft_labels`, and where a score is missing."""

TRAIN = pa.schema(
    [
        _required("query_id", _TEXT),
        _required("query", _TEXT),
        pa.field("instruction", _TEXT),
        _required("positives", pa.list_(pa.field("element", POSITIVE, nullable=False))),
        _required("negatives", pa.list_(pa.field("element", NEGATIVE, nullable=False))),
    ]
)

SCHEMAS: dict[str, pa.Schema] = {
    "corpus": CORPUS,
    "queries": QUERIES,
    "pairs": PAIRS,
    "candidates": CANDIDATES,
    "margins": MARGINS,
    "calibration": CALIBRATION,
    "refresh": REFRESH,
    "judgements": JUDGEMENTS,
    "dropped": DROPPED,
    "generations": GENERATIONS,
    "tasks": TASKS,
    "train": TRAIN,
}
