"""A run to export, and a tokenizer; each test is skipped where its framework is not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.exports import make_run

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with what exports must cope with: see `make_run`."""
    return make_run(tmp_path_factory.mktemp("runs") / "run", instructed=True)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of letters."""
    from tests.support.tiny_bert import make_tokenizer

    return make_tokenizer()


@pytest.fixture(autouse=True)
def framework_is_installed(request: pytest.FixtureRequest) -> None:
    """Skip a test whose mark `framework` names a package that is not there."""
    mark = request.node.get_closest_marker("framework")
    if mark is not None and importlib.util.find_spec(mark.args[0]) is None:
        pytest.skip(f"needs {mark.args[0]}, which has an environment of its own: make test-loaders")
