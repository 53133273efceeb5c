"""Many rows at work at once, their results in the order in which the rows were planned."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_order(
    items: Iterable[Item],
    work: Callable[[Item], Coroutine[Any, Any, Result]],  # Any: what coroutines are made of
    *,
    active: int,
    ahead: int,
    wanted: Callable[[], int] | None = None,
) -> AsyncIterator[Result]:
    """Results of `work`, in the order of the items, which are pulled one by one as there is room.

    Args:
        items: read lazily; never more than `ahead` beyond the last result handed out.
        work: one item's work; an exception of any item ends the stream at once and cancels the others.
        active: items worked on at the same time.
        ahead: results that may wait behind a slow one.
        wanted: asked before each item: how many may be unsettled now (the one asked for among them); 0 or less pulls
            no more. None is no limit.
    """
    crew = _Crew(work)
    source = iter(items)
    try:
        while True:
            while crew.has_room(active, ahead, wanted) and (item := next(source, crew)) is not crew:
                crew.start(item)
            if not crew.order:
                return
            if crew.order[0].done():
                yield crew.order.popleft().result()
            else:
                await crew.news()
    finally:
        await crew.dismiss()


class _Crew:
    """The tasks under way, in the order of their items."""

    def __init__(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:  # Any: as in `in_order`
        self.order: deque[asyncio.Task[Any]] = deque()  # Any: as in `in_order`
        self._work = work
        self._running = 0
        self._news = asyncio.Event()
        self._failure: BaseException | None = None

    def has_room(self, active: int, ahead: int, wanted: Callable[[], int] | None) -> bool:
        pending = len(self.order)
        return self._running < active and pending < ahead and (wanted is None or pending < wanted())

    def start(self, item: object) -> None:
        task = asyncio.get_running_loop().create_task(self._work(item))
        self.order.append(task)
        self._running += 1
        task.add_done_callback(self._ended)

    async def news(self) -> None:
        """Return when a task has ended; raise what one of them has raised."""
        self._news.clear()
        await self._news.wait()
        if self._failure:
            raise self._failure

    async def dismiss(self) -> None:
        for task in self.order:
            task.cancel()
        await asyncio.gather(*self.order, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:  # Any: as in `in_order`
        self._running -= 1
        if not task.cancelled() and (failure := task.exception()):
            self._failure = self._failure or failure
        self._news.set()
