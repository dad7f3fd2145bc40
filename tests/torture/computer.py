"""The process of one computer: `python -m tests.torture.computer`. It has the agent imported and forks for each run.

A line of standard input is an order, `{"words": […], "tap": FILE, "output": FILE}`; the answers are the number of the
process that runs `vault-agent` with these words, and its exit code when it has ended. Without the fork most of the time
would go into importing.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.torture import tap
from tools.agent.__main__ import main as vault_agent
from tools.agent.commands import backup as backup_command  # noqa: F401  its imports are what takes long
from tools.agent.run import backup  # noqa: F401  and these
from tools.agent.scan import batch
from tools.agent.upload import upload

# Small frames: many acknowledgements within an upload that is small enough to be made a thousand times.
_FRAME_BYTES = 256 * 1024
_BATCH_BYTES = 1024 * 1024


def run(order: dict[str, Any]) -> int:
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    tap.install(Path(order["tap"]))
    upload.FRAME_BYTES, batch.BATCH_BYTES = _FRAME_BYTES, _BATCH_BYTES
    try:
        sys.argv = ["vault-agent", *order["words"]]
        vault_agent()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            code = 1
            try:
                code = run(order)
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
