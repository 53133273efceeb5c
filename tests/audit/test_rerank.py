from __future__ import annotations

from pathlib import Path

import pytest

from datagen.audit import rerank
from datagen.audit.findings import RERANKER
from datagen.audit.rerank import find_by_reranker
from datagen.backends.registry import Registry
from datagen.progress import SilentProgress
from tests.support.audits import RERANKER as MODEL
from tests.support.audits import found, material_of, run_config


@pytest.mark.parametrize("rows_at_once", [1, 100], ids=["one-by-one", "together"])
def test_negative_that_the_reranker_puts_beside_the_positive_is_found(
    tmp_path: Path, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "_ROWS", rows_at_once)
    config = run_config(tmp_path, denoise={"reranker": MODEL, "floor_quantile": 0.0})
    material = material_of(
        ("heart pain at night", ["heart pain at night is bad"], ["the night", "at night heart and pain"]),
        ("lung pain at night", ["lung pain"], ["lung", "pain at a lung"]),
        ("skin rash at noon", ["skin rash noon"], []),
        ("no positive", [], ["no positive"]),
    )
    findings = find_by_reranker(material, config, Registry(config), SilentProgress())
    assert [one for one in found(findings, RERANKER) if one[0] != 3] == [(0, "negative", 1), (1, "negative", 1)]
    assert findings["score"][0] == pytest.approx(1.0)
