"""The one event loop of a process, in a thread of its own: the caller may have a loop already, as notebooks do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")

SECONDS_TO_CLEAN_UP = 10.0


def run(work: Coroutine[Any, Any, T]) -> T:  # Any: what coroutines are made of
    """The result of a coroutine; connections that it leaves open can be used by the next one.

    An interruption cancels it and gives it some seconds to close what it holds.
    """
    done: Future[T] = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return done.result()
    except KeyboardInterrupt:
        done.cancel()
        with contextlib.suppress(CancelledError, TimeoutError):
            done.result(SECONDS_TO_CLEAN_UP)
        raise


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="datagen-requests", daemon=True).start()
    return loop
