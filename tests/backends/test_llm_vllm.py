"""The vLLM backend where vLLM is not, or is broken; with it: tests/vllm."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.errors import BackendError, BackendMissingError

BACKEND = "datagen.backends.llm_vllm"


@pytest.fixture(autouse=True)
def not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test import the backend anew, and none of them leave anything behind."""
    for name in [name for name in sys.modules if name == BACKEND or name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    sys.modules.pop("vllm", None)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_missing_vllm_names_the_extra_to_install() -> None:
    with pytest.raises(BackendMissingError, match=r"the vLLM engine needs .* pip install 'datagen\[vllm\]'"):
        importlib.import_module(BACKEND)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libcudart.so.13: cannot open shared object file')", "libcudart.so.13: cannot open"),
        ("class SamplingParams: ...", "No module named 'vllm.config'"),
    ],
    ids=["library missing", "other version"],
)
def test_broken_vllm_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match="vLLM is installed but cannot be imported") as caught:
        importlib.import_module(BACKEND)
    assert words in str(caught.value)
    assert not isinstance(caught.value, BackendMissingError)
