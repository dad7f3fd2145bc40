"""Real file systems in loop-mounted images: ext4, xfs and btrfs, with errors of the kernel's own making. Needs root.

Everything is unmounted and detached at the end of a test, also of one that failed. One worker runs all of them.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, restored

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

    def fill_to_the_last_block(self) -> None:
        with (self.path / BALLAST).open("ab") as file:
            for size_bytes in (16 * MIB, MIB, 64 * 1024, 4096):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size_bytes)
            os.fsync(file.fileno())

    def mount_again(self) -> None:
        """What the kernel held in memory is forgotten; what is on the device counts."""
        run("umount", self.path)
        run("mount", self.device, self.path)

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


Mount = Callable[..., RealDisk]


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


@pytest.fixture
def scarce(tmp_path: Path) -> Iterator[Path]:
    """A small tmpfs for images: once it is full, the file system in an image meets errors that its device returns."""
    path = tmp_path / "scarce"
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", path)
    yield path
    unmount(path)


def unmount(path: Path) -> None:
    """A process that hangs on it must not keep the loop device: then it goes as soon as that lets go."""
    if subprocess.run(["umount", path], check=False, capture_output=True).returncode:
        subprocess.run(["umount", "--lazy", path], check=False)


class PlacedSite(Site):
    """A copy of a vault with an account, a computer and a job that has one safeset of `source`."""

    def __init__(self, template: Site, directory: Path, vault: Path) -> None:
        self.directory, self.vault = directory, vault
        self.daemon = None
        self.settings = {}
        self.url = template.url
        self.operator = vault / "operator.context"
        self.source = template.directory / "source"
        run("cp", "-a", template.vault, vault)
        for path in template.directory.iterdir():
            if path not in (template.vault, self.source):
                run("cp", "-a", path, directory)

    def restored_source(self, name: str) -> Path:
        """What a restore of the newest safeset gives."""
        target = self.directory / name
        self.restore("pc", "home", target)
        return restored(target, self.source)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Made once, because that starts many programs; stopped."""
    site = Site(tmp_path_factory.mktemp("template"))
    source = site.directory / "source"
    source.mkdir()
    (source / "old").write_bytes(os.urandom(MIB))
    site.start()
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "home", source)
    assert site.backup("pc", "home")["safeset"] == 1
    assert site.stop() == 0
    return site


Place = Callable[[Path], PlacedSite]


@pytest.fixture
def place(template: Site, tmp_path: Path) -> Iterator[Place]:
    """Puts a site's vault at a path, daemon down. Ask for it after `mount`: its daemon ends before disks go."""
    sites: list[PlacedSite] = []
    source = template.directory / "source"
    before = source.stat()

    def make(vault: Path) -> PlacedSite:
        sites.append(PlacedSite(template, tmp_path, vault))
        return sites[-1]

    yield make
    for site in sites:
        if site.daemon is not None:
            site.kill()
    for path in source.glob("new*"):
        path.unlink()
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
