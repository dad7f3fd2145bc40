"""Canaries: what the vault must never learn appears in none of its files, logs, arguments or messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Done, Site
from tests.end_to_end.test_service import serving
from tests.end_to_end.test_thief import found_in_files, found_in_memory

FILE_NAME = "canary-file-name-7c1f"
DIRECTORY_NAME = "canary-directory-name-55aa"
CONTENT = b"canary content 0c6e " * 40
PASSWORD = "canary password 91bb"
LINK = "canary-link-target-31f0"

@pytest.fixture
def starts_anew() -> bool:
    return True


def canaries(site: Site, code: str) -> dict[str, bytes]:
    signing_key = site.context("acme").with_name("acme.context.signing-key").read_text().strip()
    return {
        "signing key": bytes.fromhex(signing_key),
        "signing key, text": signing_key.encode(),
        "file name": FILE_NAME.encode(),
        "directory name": DIRECTORY_NAME.encode(),
        "content": CONTENT[:40],
        "password": PASSWORD.encode(),
        "recovery code": code.encode(),
        "link target": LINK.encode(),
    }


def make_tree(root: Path) -> Path:
    (root / DIRECTORY_NAME).mkdir(parents=True)
    (root / DIRECTORY_NAME / FILE_NAME).write_bytes(CONTENT)
    (root / "link").symlink_to(LINK)
    return root


def test_the_vault_learns_no_secret_and_no_name(site: Site, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    site.create_account("acme")
    site.register("acme", "pc")
    site.password("all").write_text(PASSWORD + "\n")
    code = site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    site.restore("pc", "all", tmp_path / "back")
    order_restores(site, tree, tmp_path / "ordered")
    for directory in ("back", "ordered"):
        assert [path.read_bytes() for path in (tmp_path / directory).rglob(FILE_NAME)] == [CONTENT]
    secrets = canaries(site, code)
    answers = failing_requests(site, tmp_path)
    assert site.daemon is not None
    assert found_in_memory(site.daemon.pid, secrets) == set()
    arguments = Path(f"/proc/{site.daemon.pid}/cmdline").read_bytes()
    assert [name for name, value in secrets.items() if value in arguments] == []
    site.stop()
    assert found_in_files(site.vault, secrets) == set()
    log = site.log_file.read_bytes()
    assert [name for name, value in secrets.items() if value in log] == []
    told = "\n".join(answer.error + str(answer.lines) for answer in answers).encode()
    assert [name for name in ("password", "signing key, text") if secrets[name] in told] == []
    planted = site.vault / "planted"
    planted.write_bytes(b"x" + FILE_NAME.encode())
    assert found_in_files(site.vault, secrets) == {"file name"}


def order_restores(site: Site, tree: Path, target: Path) -> None:
    """Through the vault: one that names the path, and one that cannot write it."""
    words = ("safeset", "restore", "pc", "all", "--password-file", site.password("all"), "--wait")
    with serving(site):
        for exit_code in (0, 3):
            path = ("--path", tree / DIRECTORY_NAME / FILE_NAME, "--target", target)
            assert site.run_administrator("acme", *words, *path).exit_code == exit_code
            for file in target.rglob(FILE_NAME):
                file.write_bytes(b"in the way")
    for file in target.rglob(FILE_NAME):
        file.write_bytes(CONTENT)


def failing_requests(site: Site, tmp_path: Path) -> list[Done]:
    """Errors on the way, so that error texts and the log are searched too."""
    wrong = tmp_path / "wrong"
    wrong.write_text(PASSWORD + " but wrong\n")
    wrong.chmod(0o600)
    return [
        site.run_agent("pc", "restore", "all", "--target", tmp_path / "no", "--password-file", wrong),
        site.run_agent("pc", "restore", "missing", "--target", tmp_path / "no", "--password-file", wrong),
        site.run_administrator(
            "acme", "job", "create", "pc", "all", "--include", tmp_path, "--password-file", wrong, "--trust-agent-key"
        ),
    ]
