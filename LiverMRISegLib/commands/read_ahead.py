"""Reads the next case of a cohort while the current one is segmented."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class ReadAhead(Generic[Item, Result]):
    """Calls `read` in a thread, one item ahead. At most two results are held: the current one and the next.

    If an item cannot be read, the error is raised when the item is asked for.
    """

    def __init__(self, read: Callable[[Item], Result]) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._ahead: tuple[Item, Future[Result]] | None = None

    def get(self, item: Item, following: Item | None) -> Result:
        """The result of `read` for `item`; starts to read `following`."""
        ahead, self._ahead = self._ahead, None
        future = ahead[1] if ahead and ahead[0] == item else self._pool.submit(self._read, item)
        try:
            return future.result()
        finally:
            if following is not None:
                self._ahead = (following, self._pool.submit(self._read, following))

    def __enter__(self) -> ReadAhead[Item, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
