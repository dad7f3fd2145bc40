"""How much a peer may send on one stream: a fixed window, or a share of the process's budget. Runtime-free."""

from collections.abc import Hashable
from typing import Protocol

import msgspec

from protocol.byte_budget import ByteBudget
from protocol.limits import H2_WINDOW_BYTES_OPEN


class Credit(Protocol):
    is_held: bool
    """Whether taken frames count until they are let go."""

    def window_bytes(self, outstanding_bytes: int, held_bytes: int, frame_bytes: int) -> int:
        """The stream's window now. `frame_bytes` is the whole length of a frame that somebody waits for, else 0."""

    def let_go(self) -> None:
        """A held frame was let go."""


class FixedCredit:
    """A frame may be larger than the window; what was taken counts no more."""

    is_held = False

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes

    def window_bytes(self, outstanding_bytes: int, held_bytes: int, frame_bytes: int) -> int:
        return max(self._window_bytes, frame_bytes)

    def let_go(self) -> None: ...


class AskCredit(msgspec.Struct, frozen=True):
    """A question that is larger than the window comes when the budget admits it, and counts until the request ends."""

    budget: ByteBudget
    stream: Hashable
    is_held = False

    def window_bytes(self, outstanding_bytes: int, held_bytes: int, frame_bytes: int) -> int:
        is_admitted = frame_bytes > H2_WINDOW_BYTES_OPEN and self.budget.admit(self.stream, frame_bytes)
        return frame_bytes if is_admitted else H2_WINDOW_BYTES_OPEN

    def let_go(self) -> None: ...


class SharedCredit(msgspec.Struct, frozen=True):
    """A frame that is larger than the window comes alone, when the budget admits it."""

    budget: ByteBudget
    stream: Hashable
    is_held = True

    def window_bytes(self, outstanding_bytes: int, held_bytes: int, frame_bytes: int) -> int:
        window = self.budget.window(self.stream, outstanding_bytes)
        if held_bytes:
            return window
        if frame_bytes <= window:
            self.budget.comes_by_window(self.stream)
            return window
        return frame_bytes if self.budget.admit(self.stream, frame_bytes) else window

    def let_go(self) -> None:
        """Frames are let go in the order of their coming, so the first one is the one that was admitted."""
        self.budget.give_back(self.stream)
