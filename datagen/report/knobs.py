"""What each reason means, and which setting would change it: one table for the terminal and the dataset card."""

from __future__ import annotations

_WORDS = "generate.min_query_words, generate.max_query_words"

MEANINGS: dict[str, tuple[str, str]] = {
    "empty_text": ("empty or white space", ""),
    "too_short": ("shorter than asked for", "clean.min_document_characters, clean.min_query_characters"),
    "adversarial": (
        "gibberish or stuffed text, or near to improbably many queries",
        "clean.adversarial, mine.adversarial",
    ),
    "duplicate_text": ("equals an earlier document, which takes its place", ""),
    "repeated_id": ("the same row again", ""),
    "repeated_pair": ("the same pair again", ""),
    "unknown_document": ("names a document that is nowhere", ""),
    "unknown_query": ("names a query that is nowhere", ""),
    "dropped_document": ("its document was dropped", ""),
    "dropped_query": ("its query was dropped", ""),
    "not_finite": ("its relevance is not a finite number", ""),
    "no_positive": ("a query without a positive", ""),
    "duplicate_query": ("equals an earlier query, which gets the passage as a positive", "--queries-per-passage"),
    "too_few_words": ("query too short", _WORDS),
    "too_many_words": ("query too long", _WORDS),
    "copies_passage": ("the query is the passage", ""),
    "repeats_own_query": ("the passage already has this query", "--queries-per-passage"),
    "no_sentence": ("no sentence to use", "generate.mix"),
    "no_salient_sentence": ("no sentence stands out", "generate.mix"),
    "no_title": ("no title to use", "generate.mix"),
    "no_keywords": ("no words stand out", "generate.mix"),
    "no_typed_span": ("no date, number or name to ask for", "generate.mix"),
    "empty": ("the answer was empty", "datagen retry"),
    "truncated": ("the answer was cut off", "--answer-tokens, datagen retry --max-tokens 2x"),
    "refused": ("the model would not answer", "another --llm"),
    "content_filter": ("the provider's filter held the answer back", "another --llm"),
    "no_json": ("the answer held no JSON object", "generate.reasks, another --llm"),
    "wrong_fields": ("the answer lacked a field", "generate.reasks, another --llm"),
    "wrong_types": ("a field of the answer was of the wrong kind", "generate.reasks, another --llm"),
    "wrong_choice": ("a field of the answer was none of the choices", "generate.reasks, another --llm"),
    "wrong_value": ("a field of the answer could not be used", "generate.reasks, another --llm"),
    "not_offered": ("the choice was none of those offered", "another --llm"),
    "judged_unanswerable": ("the judge says that the passage does not answer the query", "--judge"),
    "judged_relevant": ("the judge says that the written negative answers the query", "generate.judge_negatives"),
    "judge_failed": ("the judge gave no verdict that can be read", "datagen retry, another --judge"),
    "judge": ("the judge finds it relevant for the query", "judge.min_grade, --judge-budget"),
    "judge_disagreement": ("one judge finds it relevant, the other does not", "another --judge"),
    "replaced_positive": ("the judge finds it not relevant, and a promoted passage is", "judge.replace_positives"),
    "bad_request": ("the server could not take the question", "datagen why"),
    "timed_out": ("no answer in time, again and again", "llm.timeout_seconds, datagen retry"),
    "server_error": ("the server failed on it, again and again", "llm.max_failures, datagen retry"),
    "round_trip": ("the teacher does not find its passage among the first", "verify.round_trip_rank"),
    "inconsistent_positive": ("for the teacher neither finds the other among the nearest", "--check-positives"),
    "negative_above_positive": ("the teacher puts the written negative above the positive", "verify.enabled"),
    "selected": ("negative of its query", "--num-negatives, --choice"),
    "surplus": ("could be a negative, others were chosen", "--num-negatives, --choice, --hub-cap"),
    "known_positive": ("labelled relevant in the input", ""),
    "query_text": ("says the same as the query", ""),
    "positive_text": ("says the same as a positive", ""),
    "sibling_positive": ("says the same as a positive of a query that asks the same", "mine.closure.near_query"),
    "same_document": ("cut from the same document as a positive", "--same-doc"),
    "near_text": ("repeats the query or a positive in nearly the same words", "mine.closure.near_text"),
    "near_vector": ("for the teacher nearly the same as a positive", "mine.closure.near_vector"),
    "excluded_field": ("like a positive in a field in which it must not be", "--exclude-same"),
    "other_field": ("unlike the positives in a field in which it must not be", "--same-field"),
    "near_positive": (
        "among the documents nearest to a positive",
        "mine.near_positive_share, mine.near_positive_limit",
    ),
    "margin": ("too likely an unmarked positive, or too close to the positive", "--margin, --margin-policy"),
    "repeated_text": ("says the same as a better candidate", ""),
    "reranker": (
        "the reranker finds it too close to the positive",
        "denoise.margin, denoise.max_overruled, --reranker none",
    ),
    "promoted": (
        "two scorers put it with the positives",
        "denoise.promote_depth, denoise.promote_margin, judge.promote",
    ),
    "false_negative": ("probably answers the query, says the learned margin", "--max-p"),
    "repeated_row": ("the same query with the same passages again", ""),
    "repeated_passage": ("the same passage again in one list", ""),
    "test_query": ("the query is in a test set, by its words", "--against"),
    "near_test_query": ("the teacher can hardly tell the query from one of a test set", "audit.test_vector"),
    "test_passage": ("shares 13 words in a row with a test set", "--against"),
    "hub": ("a negative of improbably many queries", "--hub-cap, where it was mined"),
    "few_negatives": ("too few negatives are left", "--min-negatives, --short"),
}
"""Reason to what it means and the setting that changes it ("" where none should)."""


def meaning(reason: str) -> tuple[str, str]:
    """What a reason means and which setting changes it; a reason of a user's own backend stands for itself."""
    return MEANINGS.get(reason, (reason.replace("_", " "), ""))
