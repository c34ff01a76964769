"""Ordered, bounded prefetching with a thread pool."""

import threading

import pytest

from cspdarknet._prefetch import prefetch_map, thread_pool

pytestmark = pytest.mark.one_backend


def test_results_come_in_order_and_errors_in_their_place():
    with thread_pool(3) as pool:
        assert list(prefetch_map(str, range(20), pool, 4)) == [str(i) for i in range(20)]
        results = prefetch_map(lambda i: 1 / i, [2, 1, 0, 4], pool, 9)
        assert [next(results), next(results)] == [0.5, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


@pytest.mark.parametrize("depth", [0, 3])
def test_no_more_items_are_taken_than_the_depth_allows(depth):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    release = threading.Event()
    with thread_pool(2) as pool:
        results = prefetch_map(lambda i: (i == 0 or release.wait(60)) and i, items(), pool, depth)
        assert next(results) == 0
        assert len(taken) <= depth + 1
        release.set()
        assert list(results) == list(range(1, 100))


def test_calls_that_have_not_started_are_dropped():
    started, dropped, done = threading.Event(), threading.Event(), []

    def work(i):
        started.set()
        dropped.wait(10)
        done.append(i)

    with thread_pool(1) as pool:
        futures = [pool.submit(work, i) for i in range(5)]
        futures[-1].add_done_callback(lambda future: dropped.set())
        started.wait(10)
    assert done == [0]


def test_threads_that_the_interpreter_has_joined_are_left_alone():
    with thread_pool(1, is_exiting=lambda: True) as pool:
        pass
    assert pool.submit(int).result() == 0  # it was not shut down
    pool.shutdown()
