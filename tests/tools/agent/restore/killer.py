"""Kills a restore at one of its calls that change something: after it nothing changes, as if the process were gone."""

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

CALLS = (
    "mkdir", "fchmod", "chmod", "utime", "fchown", "chown", "setxattr", "removexattr", "link", "unlink", "rename",
    "symlink", "mknod",
)  # fmt: skip


class Killed(BaseException):
    pass


class Killer:
    """Kills at the call of this number, whichever thread makes it; counts from 1."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        self._counts = threading.Lock()
        self.is_dead = False
        for name in CALLS:
            patch.setattr(os, name, self._counting(getattr(os, name)))
        patch.setattr(os, "open", self._opening(os.open))

    def _counting(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            if not self._meets():
                real(*arguments, **options)

        return call

    def _opening(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and self._meets():
                raise Killed
            return real(path, flags, *arguments, **options)

        return call

    def _meets(self) -> bool:
        """Whether it is dead; it dies once."""
        with self._counts:
            if self.is_dead:
                return True
            self.left -= 1
            if not self.left:
                self.is_dead = True
                raise Killed
        return False
