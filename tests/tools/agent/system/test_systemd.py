"""What the service manager hears of the agent's service."""

import socket
from pathlib import Path

import pytest

from tools.agent.system.systemd import notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_messages_reach_the_named_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path if is_abstract else path)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + path if is_abstract else path)
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_nobody_listens_and_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")
