"""A daemon that is forked from a Python which has imported its modules: it is up at once, and ends as any other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from tests.support.forked_programs import exit_code_of, start_forked


class ForkedDaemon:
    """What `subprocess.Popen` has of it: one process, whose standard output is read as text and input is empty."""

    def __init__(self, module: str, words: Sequence[str], environment: Mapping[str, str], error: int) -> None:
        self.returncode: int | None = None
        output, theirs = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            self.pid, self._reports = start_forked(module, words, environment, [nothing, theirs, error])
        finally:
            os.close(theirs)
            os.close(nothing)
        self.stdout: IO[str] = os.fdopen(output)

    def send_signal(self, number: int) -> None:
        """Nothing, when it ended: that it did may be reported a moment after it can no longer be reached."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float) -> int:
        exit_code = self._ended_within(timeout)
        if exit_code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return exit_code

    def _ended_within(self, seconds: float) -> int | None:
        if self.returncode is None:
            self.returncode = exit_code_of(self._reports, seconds)
            if self.returncode is not None:
                os.close(self._reports)
        return self.returncode
