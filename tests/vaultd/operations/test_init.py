"""A new vault directory: what is in it, who may read it, and that it is never made over another."""

import stat
from pathlib import Path

import pytest

from tests.vaultd.operations.small_site import Site, make_site
from vaultd.errors import Conflict
from vaultd.operations.sign_in import sign_in_token
from vaultd.records import Role


def test_the_operator_signs_in_with_the_token_and_nobody_else(site: Site) -> None:
    assert site.operator.role is Role.OPERATOR
    assert sign_in_token(site.vault, bytes(32)) is None
    assert sign_in_token(site.vault, site.made.operator_token[:-1]) is None


def test_secrets_are_readable_by_their_owner_only(site: Site) -> None:
    directory = site.config.directory
    for name in ("signing.key", "authority.key", "server.key"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (directory / "vault.id").read_text() == site.made.vault_id.hex() + "\n"
    assert (directory / "vault.toml").read_text() == 'name = "north"\n'


def test_the_token_is_kept_nowhere(site: Site) -> None:
    token = site.made.operator_token
    for path in site.config.directory.rglob("*"):
        assert not path.is_file() or token not in path.read_bytes()


def test_a_vault_is_not_made_twice(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="exists already"):
        make_site(tmp_path)


def test_a_disk_with_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "vault/disk-1").mkdir(parents=True)
    (tmp_path / "vault/disk-1/letter").write_text("x")
    with pytest.raises(Conflict, match="not empty"):
        make_site(tmp_path)
    assert (tmp_path / "vault/disk-1/letter").read_text() == "x"


def test_a_new_file_system_is_empty(tmp_path: Path) -> None:
    """The tools that make one leave a directory of their own there."""
    (tmp_path / "vault/disk-1/lost+found").mkdir(parents=True)
    make_site(tmp_path)
    assert (tmp_path / "vault/disk-1/disk.id").exists()
