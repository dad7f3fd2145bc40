"""`vaultd init` makes a whole vault or leaves nothing, and takes nothing away that was there."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from vaultd.daemon import create
from vaultd.daemon.create import create_vault

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
