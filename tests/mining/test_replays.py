"""Which judged queries are replayed, and what each replay knows and hides."""

from __future__ import annotations

import numpy as np
import polars as pl

from datagen.mining.judgements import Judgements, judge_by_positives, number_labels, place_labels
from datagen.mining.replays import Replays, plan_replays, sibling_pairs
from datagen.selection.closure import NO_PAIRS, Pairs


def _pairs(*pairs: tuple[int, int]) -> Pairs:
    numbers = np.array(pairs, np.int64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1]


KNOWN = _pairs((0, 10), (1, 11), (2, 12), (3, 13), (3, 14))
LABELS = Judgements(
    relevant=_pairs((0, 10), (0, 20), (0, 21), (1, 11), (3, 13), (3, 14), (3, 23), (3, 24)),
    irrelevant=_pairs((0, 30)),
    complete=True,
    source="labels",
)


def _shown(replays: Replays) -> list[tuple[int, list[int]]]:
    """Query and shown documents of each replay."""
    lists = np.split(replays.shown.values, replays.shown.starts[1:-1])
    return [(int(query), sorted(found.tolist())) for query, found in zip(replays.queries, lists, strict=True)]


def _plan(judged: Judgements, known: Pairs = KNOWN, draws: int = 8, most: int = 100) -> Replays:
    return plan_replays(judged, known, 5, 0, draws, most)


def test_the_first_replay_knows_what_the_run_knows_and_each_shows_as_many() -> None:
    shown = _shown(_plan(LABELS))
    assert shown[0] == (0, [10])
    assert sorted(shown[1:3]) == [(0, [20]), (0, [21])]
    assert shown[3:] == [(3, [13, 14]), (3, [23, 24])]


def test_what_is_hidden_is_wrong_and_what_is_shown_is_not() -> None:
    replays = _plan(LABELS)
    rows, documents = np.zeros(4, np.int64), np.array([10, 20, 21, 30])
    assert replays.wrong(rows, documents).tolist() == [False, True, True, False]
    assert replays.judged(rows, documents).all()


def test_incomplete_labels_say_nothing_of_what_they_do_not_list() -> None:
    listed = Judgements(_pairs((0, 10), (0, 20)), _pairs((0, 30), (1, 31)), complete=False, source="labels")
    replays = _plan(listed)
    assert [query for query, _ in _shown(replays)] == [0, 0, 1]
    rows = np.zeros(4, np.int64)
    assert replays.judged(rows, np.array([10, 20, 30, 40])).tolist() == [True, True, True, False]


def test_fully_judged_queries_that_hide_nothing_are_left_out_while_others_do() -> None:
    assert 1 not in _plan(LABELS).queries
    single = Judgements(_pairs((1, 11)), NO_PAIRS, complete=True, source="labels")
    assert _plan(single).queries.tolist() == [1]


def test_draws_and_replays_are_limited() -> None:
    assert _plan(LABELS, draws=1).queries.tolist() == [0, 3]
    assert _plan(LABELS, most=3).queries.tolist() == [0, 3]
    assert len(_plan(LABELS, most=1)) == 1


def test_known_positives_stand_in_for_labels_and_half_of_them_are_hidden() -> None:
    known = _pairs((0, 10), (1, 11), (1, 12), (1, 13), (2, 14), (2, 15))
    shown = _shown(_plan(judge_by_positives(known), known))
    assert {query for query, _ in shown} == {1, 2}
    assert all(len(found) == 1 for _, found in shown)
    assert sorted(found[0] for query, found in shown if query == 1) == [11, 12, 13]


def test_answers_of_queries_that_ask_the_same_stay_closed_but_not_those_of_the_query_itself() -> None:
    replays = _plan(LABELS, draws=1)
    families = np.array([0, 0, 1, 2, 0])
    rows, documents = sibling_pairs(replays, families, _pairs((0, 10), (0, 20), (1, 11), (4, 44), (3, 13)))
    assert sorted(zip(rows.tolist(), documents.tolist(), strict=True)) == [(0, 11), (0, 44)]


def test_labels_of_dropped_twins_move_to_the_document_that_stays() -> None:
    dropped = pl.DataFrame(
        {"stage": ["clean"], "key": ["twin"], "reason": ["duplicate_text"], "payload": ['{"same_as": "stays"}']}
    )
    labels = pl.DataFrame(
        {"query_id": ["q", "q", "q"], "doc_id": ["twin", "stays", "x"], "relevance": [1.0, 0.0, float("nan")]}
    )
    placed = place_labels(labels, dropped)
    assert placed.rows() == [("q", "stays", 1.0)]


def test_labels_of_strangers_are_left_out_with_a_warning(caplog: object) -> None:
    labels = pl.DataFrame({"query_id": ["q", "q", "nobody"], "doc_id": ["a", "b", "a"], "relevance": [1.0, 0.0, 1.0]})
    judged = number_labels(labels, True, pl.Series(["q"]), pl.Series(["a", "b"]))
    assert judged.relevant[1].tolist() == [0]
    assert judged.irrelevant[1].tolist() == [1]
    assert "1 of 3 labels name a query or a document that the run does not have" in getattr(caplog, "text", "")
