"""Work in threads returns its result and its errors, and is done outside the event loop's thread."""

import threading

import pytest

from tools.client.offload import compute


async def test_results_come_from_another_thread() -> None:
    assert await compute(lambda number: (number + 1, threading.get_ident()), 1) != (2, threading.get_ident())


async def test_errors_come_out() -> None:
    with pytest.raises(ZeroDivisionError):
        await compute(divmod, 1, 0)
