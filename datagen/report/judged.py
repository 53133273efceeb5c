"""What judges changed in a run, in a sentence or two, for the terminal and the dataset card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def judge_line(counts: Mapping[str, Any]) -> str:  # Any: JSON counts
    """What the judges changed, for what money, and how far two of them agree."""
    paid = f" for {counts['cost']:.2f}" if counts["cost"] is not None else ""
    line = (
        f"The judge answered {counts['answers']:,} questions{paid} and changed {counts['decisions_changed']:,} "
        "decisions: "
        f"{counts['negatives_removed']:,} negatives removed, {counts['cleared']:,} doubts cleared, "
        f"{counts['promoted']:,} passages promoted, {counts['positives_replaced']:,} positives replaced; "
        f"{counts['no_valid_answer']:,} candidates have no valid answer and are ignored."
    )
    if counts.get("kappa") is None:
        return line
    return (
        f"{line} Two judges agree on {counts['judged_by_both']:,} candidates with a kappa of {counts['kappa']:.2f} "
        f"(95 %: {counts['kappa_low']:.2f} to {counts['kappa_high']:.2f})."
    )
