"""Work ahead of whoever wants the results, in order and within bounds."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads; what waits for one when the block is left is dropped."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    pool: ThreadPoolExecutor,
    depth: int,
) -> Iterator[Result]:
    """Apply a function to items in threads, and yield the results in order.

    Args:
        function: what is applied.
        items: taken one at a time, in the thread of the consumer.
        pool: the threads.
        depth: how many results may wait for the consumer, or be under way. One that is ready is
            given at once, so that items from a slow source don't wait for others.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        while waiting and (len(waiting) > depth or waiting[0].done()):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
