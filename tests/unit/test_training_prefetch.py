from __future__ import annotations

import threading
import time

import pytest

from glm2x.training.prefetch import AHEAD, prefetched


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "glm2x-prefetch"]


@pytest.fixture(autouse=True)
def none_left_behind() -> None:
    assert not threads()


def test_results_come_in_order_from_another_thread() -> None:
    def make(item: int) -> tuple[int, str]:
        time.sleep(0.001 * (item % 3))
        return item, threading.current_thread().name

    with prefetched(make, range(20)) as results:
        seen = list(results)
    assert seen == [(item, "glm2x-prefetch") for item in range(20)]
    assert not threads()


def test_no_more_is_made_ahead_than_fits() -> None:
    made = []
    with prefetched(made.append, range(20)) as results:
        next(results)
        deadline = time.monotonic() + 5
        while len(made) < 1 + AHEAD + 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert made == list(range(1 + AHEAD + 1))  # taken, waiting, and one that waits to wait
    assert not threads()


def test_an_error_comes_where_its_result_would_have() -> None:
    def make(item: int) -> int:
        if item == 3:
            raise OSError("gone")
        return item

    seen: list[int] = []
    with prefetched(make, range(9)) as results, pytest.raises(OSError, match="gone"):
        seen.extend(results)
    assert seen == [0, 1, 2]
    assert not threads()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_thread_is_left_when_the_work_fails(error: type[BaseException]) -> None:
    def work() -> None:
        with prefetched(lambda item: item, range(100)) as results:
            next(results)
            raise error

    with pytest.raises(error):
        work()
    assert not threads()


def test_nothing_to_make() -> None:
    with prefetched(lambda item: item, []) as results:
        assert list(results) == []
    assert not threads()
