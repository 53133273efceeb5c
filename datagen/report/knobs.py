"""What each reason means, and which setting would change it: one table for the terminal and the dataset card."""

from __future__ import annotations

MEANINGS: dict[str, tuple[str, str]] = {
    "selected": ("negative of its query", "--num-negatives"),
    "surplus": ("could be a negative, better ones were enough", "--num-negatives"),
    "known_positive": ("labelled relevant in the input", ""),
    "query_text": ("says the same as the query", ""),
    "positive_text": ("says the same as a positive", ""),
    "sibling_positive": ("says the same as a positive of an equal query", ""),
    "near_positive": (
        "among the documents nearest to a positive",
        "mine.near_positive_share, mine.near_positive_limit",
    ),
    "margin": ("scores too close to the positive, or above it", "--margin, --margin-policy"),
    "repeated_text": ("says the same as a better candidate", ""),
    "reranker": ("the reranker finds it too close to the positive", "denoise.margin, --reranker none"),
    "promoted": ("both scorers put it above the positive", "denoise.promote_depth, denoise.promote_margin"),
}
"""Reason to what it means and the setting that changes it ("" where none should)."""


def meaning(reason: str) -> tuple[str, str]:
    """What a reason means and which setting changes it; a reason of a user's own backend stands for itself."""
    return MEANINGS.get(reason, (reason.replace("_", " "), ""))
