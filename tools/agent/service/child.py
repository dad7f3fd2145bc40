"""The child process that does one piece of work; so what a restore knows of keys and passwords ends with it.

It gets its work on standard input, and holds the state's lock as long as it lives, because it inherited it. When the
service closes that pipe, or ends, the work is interrupted as by Ctrl-C.
"""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tools.agent.local.orders import (
    PREFIX,
    AskedOrder,
    AskedRestore,
    BackupOrder,
    Work,
    decode_message,
    frame_length,
)
from tools.agent.state import StateDirectory, open_state, remove_unfinished
from tools.client.failure import EXIT_FAILED
from tools.client.output import Output
from tools.client.program import prepare_process, tell_error

# Loaded for the one piece of work that a process does: a backup has no use for what restores, and waits for it.
_BACKUP = "tools.agent.commands.backup"
_RESTORE = "tools.agent.commands.restore"
_ASKED_RESTORE = "tools.agent.service.asked_restore"


def main() -> None:
    prepare_process()
    source = sys.stdin.buffer
    prefix = source.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        sys.exit(EXIT_FAILED)  # the service is gone already
    work = decode_message(source.read(frame_length(prefix)), Work)
    output = Output(json=work.order.json)
    try:
        threading.Thread(target=_interrupt_at_end, daemon=True).start()
        code = _carry_out(work, output)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read the output has enough
        code = EXIT_FAILED
    except (Exception, KeyboardInterrupt) as error:
        code = tell_error(output, error)
    sys.exit(code)


def _carry_out(work: Work, output: Output) -> int:
    state = open_state(Path(os.fsdecode(work.state)))
    match work.order:
        case BackupOrder():
            remove_unfinished(state)
            return _loaded(_BACKUP, "back_up_named")(output, state, work.order.job)
        case AskedOrder():
            remove_unfinished(state)
            return _loaded(_BACKUP, "back_up_asked")(output, state, work.order.job_id)
        case AskedRestore():
            return _loaded(_ASKED_RESTORE, "carry_out_asked")(output, state, work.order.order_id)
    return _loaded(_RESTORE, "carry_out_restore")(output, state, work.order)


def _loaded(module: str, name: str) -> Callable[[Output, StateDirectory, object], int]:
    function: Callable[[Output, StateDirectory, object], int] = getattr(importlib.import_module(module), name)
    return function


def _interrupt_at_end() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
