"""Ordered, bounded prefetching with a thread pool."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def thread_pool(
    count: int, is_exiting: Callable[[], bool] = sys.is_finalizing
) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads; calls that have not started when it is closed are dropped.

    Args:
        count: number of threads.
        is_exiting: whether the interpreter is shutting down. By then it has joined the threads and
            may have cleared this module, so that the function is looked up in advance.

    Example:
        >>> with thread_pool(2) as pool:
        ...     list(prefetch_map(abs, [-1, -2, 3], pool, depth=2))
        [1, 2, 3]
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
        function: the function.
        items: its arguments. They are taken one at a time, in the thread of the consumer.
        pool: the threads.
        depth: maximum number of results that are computed before the consumer asks for them. A
            finished result is yielded as soon as the next item is taken.

    Raises:
        Exception: any exception of the function, in place of its result.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        while waiting and (len(waiting) > depth or waiting[0].done()):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
