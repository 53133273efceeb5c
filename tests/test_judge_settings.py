"""What is said before a judge of candidates is asked anything: settings, reasons, and runs without judgements."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from datagen.config import STAGE_ORDER, build_config
from datagen.errors import ConfigError
from datagen.report.knobs import MEANINGS

Values: TypeAlias = dict[str, Any]  # Any: settings not yet validated

JUDGE: Values = {"judges": ["openai:court"], "budget": 9}
RUN: Values = {"out": "r", "input": {"beir": "b"}}


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        pytest.param({"judges": []}, "there is nobody to ask", id="nobody"),
        pytest.param({"budget": 0}, "say with --judge-budget how many", id="no-budget"),
        pytest.param({"judges": ["extractive"]}, "can judge nothing", id="extractive"),
        pytest.param({"judges": ["openai:a"] * 2}, "twice", id="the-same-twice"),
        pytest.param({"judges": ["openai:a", "openai:b", "openai:c"]}, "at most 2", id="three"),
        pytest.param({"min_grade": 4}, "less than or equal to 3", id="grade"),
    ],
)
def test_settings_that_cannot_work_are_refused(judge: Values, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build_config({**RUN, "judge": {**JUDGE, **judge}})


def test_stages_without_judge_are_refused_with_a_budget() -> None:
    stages = [name for name in STAGE_ORDER if name not in ("brainstorm", "generate", "judge")]
    with pytest.raises(ConfigError, match="stages lack judge"):
        build_config({**RUN, "stages": stages, "judge": JUDGE})


def test_the_model_that_writes_judges_where_nobody_else_is_named() -> None:
    config = build_config({**RUN, "generate": {"llm": "openai:writer"}, "judge": {"budget": 9}})
    assert config.judges == ("openai:writer",)
    assert build_config({**RUN, "generate": {"llm": "openai:writer"}, "judge": JUDGE}).judges == ("openai:court",)


def test_more_candidates_are_made_ready_where_a_judge_may_take_some() -> None:
    assert build_config(RUN).reserve == 1
    assert build_config({**RUN, "judge": JUDGE}).reserve == 2


@pytest.mark.parametrize("reason", ["judge", "judge_disagreement", "judge_failed", "replaced_positive", "promoted"])
def test_every_reason_is_explained(reason: str) -> None:
    assert all(MEANINGS[reason])
