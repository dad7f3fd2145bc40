"""One budget of receive memory for the whole process, shared fairly: by account, then by the account's streams.

Invariant: the windows of all registered streams together stay within the budget, or within the least window times their
number where that is more. A window that shrinks is not taken back: it is only not filled up again.
"""

from collections import Counter
from collections.abc import Hashable

from protocol.limits import BULK_WINDOW_BYTES_MAX, BULK_WINDOW_BYTES_MIN, RECEIVE_BUDGET_BYTES


class ByteBudget:
    def __init__(self, total_bytes: int = RECEIVE_BUDGET_BYTES) -> None:
        self._total_bytes = total_bytes
        self._accounts: dict[Hashable, bytes] = {}
        self._streams: Counter[bytes] = Counter()

    def register(self, stream: Hashable, account: bytes) -> None:
        if stream in self._accounts:
            raise ValueError(f"The stream {stream} is registered already.")
        self._accounts[stream] = account
        self._streams[account] += 1

    def unregister(self, stream: Hashable) -> None:
        """A stream that is not registered is no error: a connection ends for more than one reason."""
        account = self._accounts.pop(stream, None)
        if account is None:
            return
        self._streams[account] -= 1
        if not self._streams[account]:
            del self._streams[account]

    def window(self, stream: Hashable) -> int:
        """How many bytes this stream may have in flight and untaken, now."""
        account = self._accounts[stream]
        share = self._total_bytes // len(self._streams) // self._streams[account]
        return max(BULK_WINDOW_BYTES_MIN, min(BULK_WINDOW_BYTES_MAX, share))
