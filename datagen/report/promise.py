"""What a run promises of its wrong labels, in words: for the terminal and the dataset card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CAVEATS = {
    "known positives": " Positives that nobody knows stay unknown: what is really wrong is at least that much.",
}


def tell_promise(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    """The promise of the stage `calibrate`, its evidence, and what would make it surer.

    Args:
        counts: of that stage.
    """
    if "reranker" in counts:
        return f"{_impression(counts)} {_evidence(counts)}{_witness(counts)}"
    return f"{_verdict(counts)} {_evidence(counts)}{_CAVEATS.get(counts['evidence'], '')}"


def _verdict(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    promise, sure = f"{counts['promise']:.1%}", counts["confidence_reached"]
    if not counts["certified"]:
        return (
            f"At most {promise} of the negatives should be wrong labels, but the judgements are too few to promise "
            f"that with a confidence of {counts['confidence']:.0%}: it is {sure:.0%}. {_lacking(counts)}"
        )
    how = f"with a confidence of {counts['confidence']:.0%}" if counts["confidence"] else "on average"
    return f"At most {promise} of the negatives are wrong labels, {how}."


def _impression(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    """What takes the place of a promise where nobody has judged anything."""
    what = f"at most {counts['promise']:.1%} wrong labels among the negatives"
    if counts["seen"]:
        return f"Nothing is promised: the reranker sees {what}, but this rate is what a model sees, not a measured one."
    return (
        f"Nothing is promised, and the reranker does not see {what} with a confidence of {counts['confidence']:.0%} "
        f"(it is {counts['confidence_reached']:.0%}); what it sees is what a model sees, not a measured rate."
    )


def _witness(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    """What the reranker takes for relevant, how it errs, and what would be better."""
    rule = (
        f" A candidate counts as wrong that {counts['reranker']} scores at least as high as the known positive "
        f"at {counts['place']:.0%} of all, from the weakest. So it sees {counts['positives_found']:.0%} of the known "
        "ones, which is reckoned with; what it takes for relevant by mistake, or overlooks otherwise, is not known."
    )
    weak = (
        f" {counts['reranker']} here is the teacher's own model, a weak witness: it errs where the teacher errs. A "
        "cross-encoder as --reranker is better."
    )
    return (
        f"{rule}{weak if counts['own_model'] else ''} Judge some dozen queries and give --labels for a measured rate."
    )


def _lacking(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    if "queries_lacking" not in counts:
        return "Even the strictest cut lets more through in the judged queries: promise less."
    return f"About {counts['queries_lacking']:,} more judged queries would do, and give harder negatives."


def _evidence(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    before = ", before the reranker takes some away" if counts["reranked"] else ""
    source, judged = ("the reranker", "scored") if "reranker" in counts else (counts["evidence"], "judged")
    return (
        f"Estimate {counts['estimate']:.1%} ({counts['interval']:.0%} interval {counts['low']:.1%} to "
        f"{counts['high']:.1%}{before}), from {source}: {counts['negatives_judged']:,} {judged} negatives of "
        f"{counts['queries_judged']:,} queries in {counts['replays']:,} replays, worth "
        f"{counts['negatives_effective']:,} independent ones. Mean log2 rank {counts['log2_rank']:.1f}, mean gap to "
        f"the positive {counts['gap']:.1f} spreads."
    )
