"""A rebuild is killed at each of its steps: what is left starts, or is rebuilt again, and everything is there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vaultd.operations.image_dump import dump_catalog, dump_index
from tests.vaultd.operations.rich_site import Rich
from tests.vaultd.operations.test_rebuild import IMAGES, bring_back_older, cut, rebuild, require_equal
from tests.vaultd.store.fakes import WrappedDoor
from vaultd.catalog.database import Catalog
from vaultd.operations import rebuild as operation
from vaultd.store.index.index import Index
from vaultd.store.index.reading_progress import tell_nobody

KILLED = 77
DONE = 0


class Steps(WrappedDoor):
    """Ends the process after its n-th step: a change of a disk, a transaction, a directory that was removed."""

    def __init__(self, last: int) -> None:
        self.left = last

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        answer = call(*arguments, **named)
        if name != "close":
            self.count()
        return answer

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(KILLED)

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            self.count()
            return answer

        return counting


def killed_after(rich: Rich, steps: int) -> bool:
    """Whether it was killed; else it came to its end."""
    child = os.fork()
    if child == 0:
        _run(rich, steps)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (KILLED, DONE)
    return code == KILLED


def _run(rich: Rich, steps: int) -> None:
    code = 1
    try:
        door = Steps(steps)
        for owner, name in ((Index, "apply"), (Catalog, "apply"), (shutil, "rmtree"), (os, "unlink")):
            setattr(owner, name, door.counted(getattr(owner, name)))
        operation.rebuild_vault(rich.site.config, rich.site.clock, door, tell_nobody, index_only=False)
        code = DONE
    finally:
        os._exit(code)


def require_no_half_image(rich: Rich) -> None:
    """In its place each image is an old or a new one, or none."""
    if (rich.directory / "index").exists():
        assert dump_index(rich.directory).whole.keys() >= rich.contents_named()
        assert dump_index(rich.directory).position == rich.index.position
    if (rich.directory / "catalog").exists():
        assert dump_catalog(rich.directory) == rich.catalog


@pytest.fixture
def saved(rich: Rich) -> Path:
    """What it is brought back to before each kill."""
    return Path(shutil.copytree(rich.directory, rich.directory.parent / "saved"))


def restored(rich: Rich, saved: Path) -> None:
    for name in rich.site.config.directory.iterdir():
        shutil.rmtree(name) if name.is_dir() else name.unlink()
    shutil.copytree(saved, rich.directory, dirs_exist_ok=True)


def test_killed_at_each_step(rich: Rich, saved: Path) -> None:
    """A start comes after every other one, a second rebuild after the rest."""
    steps = 0
    while True:
        steps += 1
        restored(rich, saved)
        if not killed_after(rich, steps):
            break
        require_no_half_image(rich)
        if steps % 2:
            rich.open()
            rich.end()
        else:
            rebuild(rich)
            assert beside(rich) == []
        require_equal(rich)
    assert steps > 20, steps
    assert beside(rich) == []


def beside(rich: Rich) -> list[Path]:
    return [path for name in IMAGES for path in rich.directory.glob(f"{name}.*")]


@pytest.mark.parametrize("loss", [bring_back_older(*IMAGES), cut("index")])
def test_killed_where_the_old_images_were_bad(rich: Rich, saved: Path, loss: Callable[[Rich], None]) -> None:
    """At every fifth step, then once more five steps later, then to its end."""
    steps = 0
    while True:
        steps += 5
        restored(rich, saved)
        loss(rich)
        if not killed_after(rich, steps):
            break
        killed_after(rich, steps + 5)
        rebuild(rich)
        require_equal(rich)
    assert steps > 20
