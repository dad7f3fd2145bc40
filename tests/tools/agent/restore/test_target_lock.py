"""One restore at a time writes into a directory."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import Site, differences
from tools.agent.restore import target_lock
from tools.agent.restore.target_lock import held_target
from tools.client.failure import Failure

HOLDER = """
import subprocess, sys
from pathlib import Path
from tools.agent.restore.target_lock import held_target
with held_target(Path(sys.argv[1])):
    subprocess.Popen(["cat"], stdout=subprocess.DEVNULL, close_fds=False)
    print("held", flush=True)
    sys.stdin.read()
"""


def locked(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


async def test_a_second_one_is_refused_until_the_first_has_ended(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    site.target.mkdir()
    descriptor = locked(site.target)
    with pytest.raises(Failure, match="another restore works in ") as caught:
        await site.restore()
    assert (caught.value.code, caught.value.exit_code, os.listdir(site.target)) == ("conflict", 6, [])
    os.close(descriptor)
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    os.close(locked(site.target))


async def test_it_is_held_while_a_restore_writes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    refused: list[int | None] = []
    real = os.fchmod

    def look(*arguments: Any) -> None:
        try:
            os.close(locked(site.target))
        except BlockingIOError as error:
            refused.append(error.errno)
        real(*arguments)

    monkeypatch.setattr(os, "fchmod", look)
    await site.restore()
    assert set(refused) == {errno.EWOULDBLOCK}


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF])
async def test_a_file_system_without_locks_is_restored_into(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some want a descriptor to write with, which no directory has."""
    (site.source / "file").write_bytes(b"content")
    await site.back_up()

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, "told to fail")

    monkeypatch.setattr(target_lock.fcntl, "flock", refuse)
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


def test_it_ends_with_the_process_whatever_that_has_started(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Failure, match="another restore"), held_target(tmp_path):
            pass
        process.kill()
        process.wait()
    os.close(locked(tmp_path))
