"""One budget of receive memory for the whole process, shared fairly by account.

One half is promised ahead, as windows: by account, at most half of it to one, then by the account's streams. The
other half is for frames that are larger than their stream's window: such a frame waits until it is admitted whole. Of
the accounts that are within their part the one that has least goes first, with its oldest; while that one does not
fit, nobody is admitted, so that small frames never keep a large one waiting for ever. Questions that are larger than
their fixed window count in that half whole, until their end.

Invariants: the windows of all streams stay within the first half, or the least window each where that is more. What
admitted frames need above the least window stays within the second half, which the settings make no smaller than the
largest frame. So what arrived and was not let go stays within the budget, and one least window for each stream beyond.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Protocol

import msgspec

from protocol.limits import BULK_WINDOW_BYTES_MAX, BULK_WINDOW_BYTES_MIN, FRAME_SECONDS, RECEIVE_BUDGET_BYTES


class Receiver(Protocol):
    def refill(self) -> None:
        """A frame may come that had to wait."""

    def give_up_slow_frame(self) -> None:
        """Others wait, and a frame was admitted long ago: end the request if the frame is still not here."""


class _Stream(msgspec.Struct):
    account: bytes
    receiver: Receiver
    least_bytes: int  # of its window, in any case
    promised_bytes: int
    wanted_bytes: int = 0  # of a frame that is not admitted yet, above the least window
    admitted_bytes: int = 0  # of one that is
    is_late: bool = False  # it was admitted before the last look at slow frames


class ByteBudget:
    def __init__(self, total_bytes: int = RECEIVE_BUDGET_BYTES) -> None:
        self._look_again_seconds = 0.0
        self._ahead_bytes = total_bytes // 2
        self._frames_bytes = total_bytes - self._ahead_bytes
        self._streams: dict[Hashable, _Stream] = {}
        self._counts: Counter[bytes] = Counter()  # streams of an account
        self._uploads: Counter[bytes] = Counter()  # those of them that have windows
        self._admitted: Counter[bytes] = Counter()  # bytes of an account's admitted frames
        self._promised_bytes = 0
        self._waiting: dict[Hashable, _Stream] = {}

    def register(
        self, stream: Hashable, account: bytes, receiver: Receiver, least_bytes: int = BULK_WINDOW_BYTES_MIN
    ) -> None:
        """A question has no window here (`least_bytes` 0): its frame counts whole until it is unregistered."""
        if stream in self._streams:
            raise ValueError(f"the stream {stream} is registered already")
        entry = self._streams[stream] = _Stream(account, receiver, least_bytes, least_bytes)
        self._counts[account] += 1
        self._uploads[account] += least_bytes > 0
        self._promised_bytes += entry.promised_bytes

    def unregister(self, stream: Hashable) -> None:
        """A stream that is not registered is no error: a connection ends for more than one reason."""
        entry = self._streams.get(stream)
        if entry is None:
            return
        self._waiting.pop(stream, None)
        self._promised_bytes -= entry.promised_bytes
        self._counts[entry.account] -= 1
        if not self._counts[entry.account]:
            del self._counts[entry.account]
        self._uploads[entry.account] -= entry.least_bytes > 0
        if not self._uploads[entry.account]:
            del self._uploads[entry.account]
        self.give_back(stream)
        del self._streams[stream]

    def window(self, stream: Hashable, outstanding_bytes: int) -> int:
        """How much the stream may have promised, in flight and not let go, now; it has `outstanding_bytes` of that.

        A share that shrinks is not taken back, it is only not filled up: it counts until it was used.
        """
        entry = self._streams[stream]
        share = self._ahead_bytes // max(2, len(+self._uploads)) // self._uploads[entry.account]
        room = entry.promised_bytes + self._ahead_bytes - self._promised_bytes
        window = max(BULK_WINDOW_BYTES_MIN, min(BULK_WINDOW_BYTES_MAX, share, room))
        promised = max(window, min(outstanding_bytes, entry.promised_bytes))
        self._promised_bytes += promised - entry.promised_bytes
        entry.promised_bytes = promised
        return window

    def admit(self, stream: Hashable, frame_bytes: int) -> bool:
        """Whether this frame, which is larger than the window, may come whole; if not, its `refill` is called then."""
        entry = self._streams[stream]
        if not entry.admitted_bytes:
            entry.wanted_bytes = frame_bytes - entry.least_bytes
            self._waiting[stream] = entry
            self._admit_waiting()
        return entry.admitted_bytes >= frame_bytes - entry.least_bytes

    def comes_by_window(self, stream: Hashable) -> None:
        """The frame that waited fits the window by now: it needs no admission, which the next one would take for its
        own."""
        self._waiting.pop(stream, None)

    def give_back(self, stream: Hashable) -> None:
        """The frame that was admitted is held no more."""
        entry = self._streams[stream]
        self._waiting.pop(stream, None)
        self._admitted[entry.account] -= entry.admitted_bytes
        entry.admitted_bytes = 0
        if not self._admitted[entry.account]:
            del self._admitted[entry.account]
        self._admit_waiting()

    def give_up_slow_frames(self, now_seconds: float) -> None:
        """To be called now and then: nobody keeps the others waiting by sending a large frame slowly, or not at all."""
        if not self._waiting or now_seconds < self._look_again_seconds:
            return
        self._look_again_seconds = now_seconds + FRAME_SECONDS
        for entry in [entry for entry in self._streams.values() if entry.admitted_bytes]:
            if entry.is_late:
                entry.receiver.give_up_slow_frame()
            entry.is_late = True

    def _admit_waiting(self) -> None:
        while turns := self._turns():
            stream = min(turns, key=lambda one: self._admitted[self._waiting[one].account])
            if not self._fits(self._waiting[stream]):
                return
            entry = self._waiting.pop(stream)
            entry.admitted_bytes = entry.wanted_bytes
            entry.is_late = False
            self._admitted[entry.account] += entry.admitted_bytes
            entry.receiver.refill()

    def _turns(self) -> list[Hashable]:
        """Of each account that waits the oldest, where it is within the account's part, or would be all it has."""
        part_bytes = self._frames_bytes // max(1, len(self._counts))
        oldest: dict[bytes, Hashable] = {}
        for stream, entry in self._waiting.items():
            oldest.setdefault(entry.account, stream)
        return [
            stream
            for account, stream in oldest.items()
            if not self._admitted[account]
            or self._admitted[account] + self._waiting[stream].wanted_bytes <= part_bytes
        ]

    def _fits(self, entry: _Stream) -> bool:
        """One frame is always let in, however large."""
        all_ = self._admitted.total()
        return not all_ or all_ + entry.wanted_bytes <= self._frames_bytes
