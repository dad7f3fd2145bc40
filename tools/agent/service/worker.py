"""Starts the child process of a piece of work and waits for its end; cancelling is closing its standard input."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import trio

from tools.agent.local.orders import Work, encode_frame
from tools.agent.system.apart import import_path

# A run that is cancelled ends its batch of files and tells the vault so; a process that does not end is killed.
END_SECONDS = 60.0
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from tools.agent.service.child import main; main()"


@dataclass(frozen=True, slots=True)
class Streams:
    """Where the child writes; None is the service's own."""

    output: int | None = None
    error: int | None = None


async def run_child(work: Work, lock: int, streams: Streams, cancelled: trio.Event) -> int:
    """Its exit code, negative where a signal ended it. It belongs to no terminal, so Ctrl-C does not reach it."""
    frame = encode_frame(work)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-c", _PROGRAM, *import_path()], stdin=subprocess.PIPE, stdout=streams.output,
        stderr=streams.error, start_new_session=True, pass_fds=[lock], cwd="/",
    )  # fmt: skip
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_feed, process, frame, cancelled)
            code = await process.wait()
            nursery.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await process.wait()
    return code


async def _feed(process: trio.Process, frame: bytes, cancelled: trio.Event) -> None:
    assert process.stdin is not None
    try:
        await process.stdin.send_all(frame)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
    await cancelled.wait()
    await process.stdin.aclose()
    await trio.sleep(END_SECONDS)
    process.kill()
