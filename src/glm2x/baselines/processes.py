"""The same work for many genes, in their order, by this process or by several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")


def each(
    function: Callable[..., Any], tasks: Iterable[Any], common: tuple[Any, ...], jobs: int
) -> Iterator[Any]:
    """Yield ``function(task, *common)`` for each task in order.

    One thread of linear algebra each: more would change sums, and be slower. Tasks are made as they are
    asked for, so that memory does not grow with their number.
    """
    if jobs == 1:
        from threadpoolctl import threadpool_limits

        for task in tasks:
            with threadpool_limits(1):
                result = function(task, *common)
            yield result
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        calls = (delayed(function)(task, *common) for task in tasks)
        yield from Parallel(return_as="generator", max_nbytes=None)(calls)


def one_thread(work: Callable[[], _T]) -> _T:
    """Return what `work` returns, by one thread of linear algebra: their number changes the last bits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return work()
