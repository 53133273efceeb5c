"""One run that all tests export from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.exports import make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with what exports must cope with: see `make_run`."""
    return make_run(tmp_path_factory.mktemp("runs") / "run")
