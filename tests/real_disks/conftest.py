"""Real file systems in loop-mounted images: ext4, xfs and btrfs, with errors of the kernel's own making. Needs root.

Everything is unmounted and detached at the end of a test, also of one that failed. One worker runs all of them.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site

MIB = 1024 * 1024
FILE_SYSTEMS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
IMAGE_BYTES = 320 * MIB  # of which xfs wants 300
BALLAST = "ballast"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("real_disks"))


def run(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()


class RealDisk:
    """A file system of its own, mounted at `path`."""

    def __init__(self, path: Path, image: Path, device: str) -> None:
        self.path, self.image, self.device = path, image, device

    def free_bytes(self) -> int:
        facts = os.statvfs(self.path)
        return facts.f_bavail * facts.f_frsize

    def fill(self, leave_bytes: int) -> None:
        """Somebody else's file takes all but so much."""
        with (self.path / BALLAST).open("ab") as file:
            os.sync()  # btrfs tells of nothing before
            take = self.free_bytes() - leave_bytes
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, take)
            os.fsync(file.fileno())

    def make_room(self) -> None:
        (self.path / BALLAST).unlink()
        os.sync()

    def make_read_only(self) -> None:
        """As an operator does where nobody writes."""
        run("mount", "-o", "remount,ro", self.path)

    def break_read_only(self) -> None:
        """What the kernel does under ext4 when it meets an error; files that are open for writing are no hindrance."""
        run("mount", "-o", "remount,errors=remount-ro", self.path)
        Path("/sys/fs/ext4", Path(self.device).name, "trigger_fs_error").write_text("1")


Mount = Callable[[str, str], RealDisk]
StopAfter = Callable[[Site], Site]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Makes and mounts a file system of this kind under this name; `image_at` puts its bytes elsewhere."""
    with ExitStack() as undo:

        def make(kind: str, name: str, image: Path | None = None, size_bytes: int = IMAGE_BYTES) -> RealDisk:
            image = image or tmp_path / f"{name}.image"
            with image.open("wb") as file:
                file.truncate(size_bytes)
            run(*FILE_SYSTEMS[kind], image)
            device = run("losetup", "--find", "--show", image)
            undo.callback(subprocess.run, ["losetup", "--detach", device], check=False)
            path = tmp_path / name
            path.mkdir()
            run("mount", device, path)
            undo.callback(unmount, path)
            return RealDisk(path, image, device)

        yield make


def unmount(path: Path) -> None:
    """A process that hangs on it must not keep the loop device: then it goes as soon as that lets go."""
    if subprocess.run(["umount", path], check=False, capture_output=True).returncode:
        subprocess.run(["umount", "--lazy", path], check=False)


@pytest.fixture
def stop_after() -> Iterator[StopAfter]:
    """Its daemon is killed before the disks are unmounted: ask for this fixture after `mount`."""
    sites: list[Site] = []

    def remember(site: Site) -> Site:
        sites.append(site)
        return site

    yield remember
    for site in sites:
        if site.daemon is not None:
            site.kill()
