"""Work ahead of whoever wants the results, in order and within bounds."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def threads(
    count: int, is_exiting: Callable[[], bool] = sys.is_finalizing
) -> Iterator[ThreadPoolExecutor]:
    """Give threads; what waits for one when the block is left is dropped.

    Args:
        count: how many.
        is_exiting: whether Python has ended them itself, and has begun to empty its modules, this
            one too: that is why it comes as an argument.
    """
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        if not is_exiting():
            pool.shutdown(cancel_futures=True)


def prefetch_map(
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
            given when the next item has come, whether or not others are under way.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        while waiting and (len(waiting) > depth or waiting[0].done()):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
