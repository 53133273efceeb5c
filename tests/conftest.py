"""What all tests share: no network, no trace in the home folder, the same examples every time."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis
import pytest

Address: TypeAlias = Any  # Any: host and port, or the path of a Unix socket
Connect: TypeAlias = Callable[[socket.socket, Address], Any]  # Any: an error code, or nothing

ROOT = Path(__file__).resolve().parents[1]

# Set before any test module imports the libraries that read them: default caches neither help nor stay.
_HOME = tempfile.TemporaryDirectory(prefix="datagen-tests-")
os.environ["HOME"] = _HOME.name
os.environ["HF_HOME"] = str(Path(_HOME.name) / "huggingface")
os.environ["HF_HUB_OFFLINE"] = "1"

# The same examples in every run, and no time limit for one on a busy machine.
hypothesis.settings.register_profile("datagen", derandomize=True, deadline=None)
hypothesis.settings.load_profile("datagen")


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Make every attempt to reach another machine an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _stay_here(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _stay_here(socket.socket.connect_ex))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_pages() -> Iterator[None]:
    """Runs of tests write no report.html, which would take a second each; tests of the page make it themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datagen.pipeline.try_page", lambda run: None)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real retrieval sets beside the checkout; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real retrieval sets in {folder}, which is not there")
    return folder


def _stay_here(connect: Connect) -> Connect:
    def guarded(self: socket.socket, address: Address) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address!r}: tests run without a network")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
