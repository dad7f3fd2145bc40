"""Runs pytest once for each line of standard input, in a child of a process that has imported what all tests need of
others: `python -m tests.sabotage.forked_pytest`. A line is a JSON list of arguments; the answer one line, `[exit code,
output]`.

Nothing of the project is imported before the fork, so that each child sees the files as they are by then.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback

import pytest

IMPORTED_AHEAD = (
    "blake3", "cryptography.hazmat.primitives.asymmetric.x25519", "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.x509", "h2.connection", "hypothesis.strategies", "lmdb", "msgpack", "msgspec", "trio",
    "zstandard",
)  # fmt: skip
EXIT_BROKEN = 70


def main() -> None:
    for name in IMPORTED_AHEAD:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(run_apart(json.loads(line))), flush=True)


def run_apart(arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(run_here(arguments))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return code, output.read().decode(errors="replace")


def run_here(arguments: list[str]) -> int:
    """What raises is no verdict of a test: it has a code of its own."""
    code = EXIT_BROKEN
    try:
        code = int(pytest.main(arguments))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
