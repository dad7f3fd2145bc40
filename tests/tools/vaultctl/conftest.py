"""Fixtures of the command tests: a fake vault, contexts of both roles, and running a command line."""

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.creator import Creator
from tests.tools.vaultctl.fake_vault import FakeVault
from tools.vaultctl import identity
from tools.vaultctl.__main__ import main

CREATOR = Creator()
AUTHORITY = ssl.DER_cert_to_PEM_cert(b"DER of the authority")
TOKEN = "c0ffee00" * 8
ACCOUNT_ID = bytes.fromhex("a1" * 16)


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


Run = Callable[..., Ended]


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> FakeVault:
    fake = FakeVault()
    monkeypatch.setattr(identity, "connect", fake.connect)
    monkeypatch.delenv("VAULTCTL_CONTEXT", raising=False)
    return fake


def write_context(path: Path, role: str, account_id: bytes | None) -> Path:
    document = {"version": 1, "url": "https://vault.example:8443", "ca": AUTHORITY, "role": role, "token": TOKEN}
    if account_id is not None:
        document |= {"account": "Example GmbH", "account_id": account_id.hex()}
        CREATOR.write(path)
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


@pytest.fixture
def administrator(tmp_path: Path) -> Path:
    return write_context(tmp_path / "administrator.context", "administrator", ACCOUNT_ID)


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    return write_context(tmp_path / "operator.context", "operator", None)


@pytest.fixture
def run(vault: FakeVault, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(context file, *words): the exit code and what was said."""

    def run_words(context: Path, *words: str) -> Ended:
        capsys.readouterr()
        exit_code = main.run(["--context", str(context), *words])
        said = capsys.readouterr()
        return Ended(exit_code, said.out, said.err)

    return run_words
