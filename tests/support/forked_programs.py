"""Programs of this checkout as processes of their own, forked from a Python that has imported their modules already.

Tests start thousands of them, and imports are most of what a short one does. Nothing of a program has run before the
fork, and its exit code and output are its own. Programs that a test watches, traces or kills start with `-m`, but for
daemons: one in `forked_daemon.py` is seen from outside as any other.

Limits: it ends by `os._exit`, so what an interpreter does at its end is not seen; `TZ`, `LC_*` and `PYTHON*` of its
environment have no effect; all modules are imported, so an import that is missing or goes round is not seen.

One server for each process of the tests. It ends when its socket does: with that process, however that ends.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from tests.support.lent_process import lend_process

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "tools", "vaultd")
REQUEST_BYTES_MAX = 1 << 17
START_SECONDS = 60.0
REPORT = struct.Struct("<i")  # the id of the process, then how it ended


# In the process of the tests


class Server:
    def __init__(self) -> None:
        # Keeps the borders of messages, so threads need no turns.
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())], cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)}, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.close)

    def close(self) -> None:
        self._control.close()
        self._process.wait()

    def start(self, request: bytes, files: Sequence[int]) -> int:
        """Where it reports; `files` are its input, output and errors."""
        reports, theirs = os.pipe()
        try:
            socket.send_fds(self._control, [request], [*files, theirs])
        finally:
            os.close(theirs)
        return reports


@cache
def server() -> Server:
    return Server()


def run_forked(
    module: str, words: Sequence[str], environment: Mapping[str, str], stdin: str, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` does with `python -m MODULE WORDS`, with text in and out."""
    request = json.dumps([module, list(words), dict(environment)]).encode()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        given.write(stdin.encode())
        given.seek(0)
        reports = server().start(request, [given.fileno(), output.fileno(), error.fileno()])
        try:
            exit_code = _wait(reports, timeout_seconds, [module, *words])
        finally:
            os.close(reports)
        output.seek(0)
        error.seek(0)
        return subprocess.CompletedProcess(words, exit_code, output.read().decode(), error.read().decode())


def start_forked(
    module: str, words: Sequence[str], environment: Mapping[str, str], files: Sequence[int]
) -> tuple[int, int]:
    """Its process id, and a pipe from which its exit code comes; `files` are its input, output and errors."""
    request = json.dumps([module, list(words), dict(environment)]).encode()
    reports = server().start(request, files)
    process_id = _report(reports, time.monotonic() + START_SECONDS)
    assert process_id is not None, f"{module} {words} was not started in time"
    return process_id, reports


def exit_code_of(reports: int, timeout_seconds: float) -> int | None:
    """None where it did not end in time; negative where a signal ended it."""
    return _report(reports, time.monotonic() + timeout_seconds)


def _wait(reports: int, timeout_seconds: float, words: list[str]) -> int:
    deadline = time.monotonic() + timeout_seconds
    process_id = _report(reports, deadline)
    assert process_id is not None, f"{words} was not started in time"
    exit_code = _report(reports, deadline)
    if exit_code is None:
        os.kill(process_id, signal.SIGKILL)
        raise subprocess.TimeoutExpired(words, timeout_seconds)
    return exit_code


def _report(reports: int, deadline: float) -> int | None:
    if not select.select([reports], [], [], max(0.0, deadline - time.monotonic()))[0]:
        return None
    report = os.read(reports, REPORT.size)
    assert report, "the server of the programs ended; what it wrote stands above"
    number: int = REPORT.unpack(report)[0]
    return number


# In the server


def import_programs() -> None:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


def serve(control: socket.socket) -> str:
    """Returns in each of the programs, never in the server: the name of its module."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need no wait
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(control, REQUEST_BYTES_MAX, 4)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(files[3])
            return _become(*json.loads(request), files=files)
        for file in files:
            os.close(file)


def _keep(reports: int) -> None:
    """Returns in the program only; its parent waits for it and reports."""
    if (process_id := os.fork()) == 0:
        return
    os.write(reports, REPORT.pack(process_id))
    exit_code = os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])
    os.write(reports, REPORT.pack(exit_code))
    os._exit(0)


def _become(module: str, words: list[str], environment: dict[str, str], *, files: list[int]) -> str:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *words]
    if module == "tools.agent":
        lend_process()
    return module


def run(module: str) -> NoReturn:
    """As the main program. An interpreter that took everything down again would be slower than the whole program."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        exit_code = 0
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        exit_code = end.code
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join()
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    import_programs()
    gc.freeze()  # else each program copies the pages of all that stays
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
