"""The options of `datagen mine-negatives` for judges and known positives, and the settings that they fill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

JUDGE_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "judges": ("judge.judges",),
    "judge_budget": ("judge.budget",),
    "judge_mode": ("judge.mode",),
    "judge_max_cost": ("judge.max_cost",),
    "check_positives": ("verify.check_positives",),
}
_PANEL = "Judges, and known positives"

Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        "--llm",
        help="openai:MODEL, vllm:MODEL or package.module:Class that judges candidates; two, to see how far they agree.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
JudgeBudget = Annotated[
    int | None,
    typer.Option(
        "--judge-budget",
        help="Questions for the judges, spent where answers change most \\[default: 0]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
JudgeMode = Annotated[
    str | None,
    typer.Option(
        "--judge-mode",
        help="grade (0 to 3), span (quote the answer) or list (several at once) \\[default: grade]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
JudgeMaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", help="Money for the judges at most.", show_default=False, rich_help_panel=_PANEL),
]
CheckPositives = Annotated[
    str | None,
    typer.Option(
        "--check-positives",
        help="Known positives that the teacher disowns: off, drop or weigh (less) \\[default: off]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
