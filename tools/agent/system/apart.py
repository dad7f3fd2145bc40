"""Calls a function in a short-lived process of its own: what it handles never enters this one's memory.

Python cannot wipe bytes, so secrets that must not stay are handled where the whole memory goes away. The call and its
answer travel over pipes; the child belongs to no terminal, so Ctrl-C reaches only the caller, which waits for it. It
imports from where the caller does, and never from the current directory, which may be anybody's.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from tools.client.failure import Failure, describe

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_PROGRAM = f"import sys; sys.path[:] = sys.argv[1:]; from {__name__} import main; main()"
_OWN_ROOT = str(Path(__file__).resolve().parents[3])


def call_apart(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """For a worker thread. The function is one of a module's; its errors come back as a Failure."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, *import_path()], input=pickle.dumps((function, arguments)),
        stdout=subprocess.PIPE, start_new_session=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failure("internal", f"a child process ended with exit code {done.returncode}", "please report this")
    failed, answer = pickle.loads(done.stdout)
    if failed is not None:
        raise Failure(*failed)
    result: Result = answer
    return result


def import_path() -> list[str]:
    """For `sys.path` of a child: without the current directory; a clone that is not installed comes last, also where it
    is that directory.
    """
    here = os.path.realpath(os.curdir)
    return [part for part in sys.path if part and os.path.realpath(part) not in (here, _OWN_ROOT)] + [_OWN_ROOT]


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[object, object]:
    try:
        return None, function(*arguments)
    except Exception as error:
        failure = describe(error)
        return (failure.code, failure.message, failure.hint, failure.details), None


def main() -> None:
    sys.stdout.buffer.write(pickle.dumps(_answer(*pickle.load(sys.stdin.buffer))))
