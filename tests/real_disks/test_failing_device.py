"""The device under a file system refuses writes: what was cached is lost for good, and a second sync would say well."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences
from tests.real_disks.conftest import FILE_SYSTEMS, MIB, Mount, Place


def exhaust(scarce: Path) -> Path:
    """Leaves nothing of the tmpfs."""
    path = scarce / "ballast"
    with path.open("wb") as file:
        while (facts := os.statvfs(scarce)).f_bavail:
            with suppress(OSError):  # the image took some of it meanwhile
                os.posix_fallocate(file.fileno(), path.stat().st_size, facts.f_bavail * facts.f_frsize)
    return path


def require_stopped(site: Site, kind: str) -> None:
    """By itself, or as a btrfs that refuses to read too ends whoever has a page of it in memory."""
    exit_code = site.wait()
    if kind == "btrfs" and exit_code == -signal.SIGBUS:
        return
    assert exit_code == 1
    stopped = [line for line in site.log_lines() if line["event"] == "store stopped"]
    assert any(words in stopped[0]["problem"] for words in ("Input/output", "Read-only", "No space left"))


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_writes_that_the_device_loses_are_not_acknowledged_and_sent_again(
    scarce: Path, mount: Mount, place: Place, kind: str
) -> None:
    disk = mount(kind, "disk", image=scarce / "image")
    site = place(disk.path / "vault")
    site.start()
    (site.source / "new").write_bytes(os.urandom(5 * MIB))
    os.sync()
    ballast = exhaust(scarce)
    done = site.run_agent("pc", "backup", "home")
    assert done.exit_code in (7, 8), done.error  # xfs tells the cause, the others an I/O error
    require_stopped(site, kind)
    ballast.unlink()
    disk.mount_again()
    site.start()
    assert (site.restored_source("first") / "old").read_bytes() == (site.source / "old").read_bytes()
    assert site.backup("pc", "home")["safeset"] == 2
    assert differences(site.source, site.restored_source("second")) == []
    assert site.stop() == 0
    checked = site.check()
    assert (checked.exit_code, checked.last["findings"]) == (0, [])
