"""The commands with the vault replaced where the session begins."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.tools.agent.conftest import Site
from tools.agent.__main__ import main
from tools.agent.vault import connection


@pytest.fixture(autouse=True)
def _no_wire(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(endpoint: object, program: str, **_: object) -> Any:
        class Context:
            async def __aenter__(self) -> Any:
                await trio.lowlevel.checkpoint()
                return site.vault

            async def __aexit__(self, *_: object) -> None:
                return

        return Context()

    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr(connection, "collect_garbage_rarely", lambda: None)


@contextmanager
def password_file(directory: Path, password: str) -> Iterator[str]:
    path = directory / "password"
    path.touch(0o600)
    path.write_text(password + "\n")
    yield str(path)


def run(site: Site, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any]]:
    code = main.run(["--state", str(site.state.path), *words, "--json"])  # type: ignore[attr-defined]
    out = capsys.readouterr().out
    try:
        return code, [json.loads(out)]
    except ValueError:
        return code, [json.loads(line) for line in out.splitlines()]
