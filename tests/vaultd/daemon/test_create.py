"""`vaultd init` makes a whole vault or leaves nothing, and takes nothing away that was there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.daemon import create
from vaultd.daemon.create import create_vault
from vaultd.errors import VaultError
from vaultd.operations import init
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.disks import opening

VALUES = {"name": "north", "place": "here", "listen": "127.0.0.1:0"}


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_disk_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("letter")
    (tmp_path / "mounted/lost+found").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    before = everything(tmp_path)
    disks = [tmp_path / "mounted", tmp_path / "empty", tmp_path / "a/b/new", tmp_path / "file/disk"]
    with pytest.raises(OSError, match="file"):
        create_vault(tmp_path / "srv/vault", VALUES, disks, [])
    assert everything(tmp_path) == before
    assert (tmp_path / "file").read_text() == "letter"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_its_end_leaves_nothing_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    (tmp_path / "disk").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(create, "write_context", fail)
        with pytest.raises(type(error)):
            create_vault(tmp_path / "vault", VALUES, [tmp_path / "disk"], [])
    assert everything(tmp_path) == ["disk"]
    create_vault(tmp_path / "vault", VALUES, [tmp_path / "disk"], [])
    assert "vault/operator.context" in everything(tmp_path)


def test_what_somebody_else_makes_there_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As two of them at once: the vault.id of the one is there when the other wants to write its own."""
    real = os.urandom

    def other(size: int) -> bytes:
        if (tmp_path / "vault").exists():
            (tmp_path / "vault/vault.id").write_text("theirs")
        return real(size)

    monkeypatch.setattr(os, "urandom", other)
    with pytest.raises(FileExistsError):
        create_vault(tmp_path / "vault", VALUES, [], [])
    assert (tmp_path / "vault/vault.id").read_text() == "theirs"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def before(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, also: Callable[[], None], *, is_after: bool = False
) -> None:
    """The function does something else once, before or after its own work."""
    real, done = getattr(module, name), []

    def both(*arguments: Any) -> Any:
        made = real(*arguments) if is_after else None
        if not done:
            done.append(1)
            also()
        return made if is_after else real(*arguments)

    monkeypatch.setattr(module, name, both)


def test_a_disk_that_another_init_makes_meanwhile_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two with the same disk: the first succeeds while the second makes its keys."""
    disk = tmp_path / "disk"
    made: list[dict[str, bytes]] = []

    def first() -> None:
        create_vault(tmp_path / "first", VALUES, [disk], [])
        made.extend([contents(disk), contents(tmp_path / "first")])

    before(monkeypatch, init, "_write_keys", first, is_after=True)
    with pytest.raises(VaultError, match="is a disk of a vault already"):
        create_vault(tmp_path / "second", VALUES, [disk], [])
    assert [contents(disk), contents(tmp_path / "first")] == made
    assert not (tmp_path / "second").exists()
    close_vault(open_vault(load_config(tmp_path / "first"), SystemClock(), SystemDoor()))


def test_a_vault_that_another_init_makes_meanwhile_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in the same directory: the first succeeds right before the second looks whether there is one."""
    made: list[dict[str, bytes]] = []

    def first() -> None:
        create_vault(tmp_path / "vault", VALUES, [], [])
        made.append(contents(tmp_path))

    before(monkeypatch, init, "_refuse_existing", first)
    with pytest.raises(VaultError, match="exists already"):
        create_vault(tmp_path / "vault", VALUES, [], [])
    assert [contents(tmp_path)] == made
    close_vault(open_vault(load_config(tmp_path / "vault"), SystemClock(), SystemDoor()))


def test_what_no_vault_makes_stays_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def letters() -> None:
        for place in ("vault", "disk"):
            (tmp_path / place / "letter").write_text("theirs")
        raise OSError(errno.ENOSPC, "No space left on device")

    before(monkeypatch, create, "write_context", letters)
    with pytest.raises(OSError, match="No space"):
        create_vault(tmp_path / "vault", VALUES, [tmp_path / "disk"], [])
    assert everything(tmp_path) == ["disk", "disk/letter", "vault", "vault/letter"]


def test_directories_of_a_disk_that_has_no_identity_yet_go_where_they_are_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        (tmp_path / "disk/journal/letter").write_text("theirs")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(opening, "write_file", fail)
    with pytest.raises((OSError, VaultError)):
        create_vault(tmp_path / "vault", VALUES, [tmp_path / "disk"], [])
    assert everything(tmp_path) == ["disk", "disk/journal", "disk/journal/letter"]
