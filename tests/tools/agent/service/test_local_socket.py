"""The socket in the state directory: for its owner alone, wherever the directory lies."""

import os
import stat
from pathlib import Path

import pytest

from tools.agent.local import local_socket


@pytest.mark.parametrize("depth", [0, 3])
def test_nobody_else_may_open_it_however_deep_it_lies(tmp_path: Path, depth: int) -> None:
    state = tmp_path.joinpath(*["d" * 200] * depth)
    state.mkdir(parents=True, exist_ok=True)
    before = os.umask(0)
    try:
        with local_socket.listen(state) as listener:
            status = (state / local_socket.NAME).stat()
            assert (stat.S_ISSOCK(status.st_mode), stat.S_IMODE(status.st_mode)) == (True, 0o600)
            channel = local_socket.dial(state)
            assert channel is not None
            accepted, _ = listener.accept()
            with channel, accepted:
                assert local_socket.peer_user(accepted) == local_socket.peer_user(channel) == os.geteuid()
    finally:
        os.umask(before)


def test_a_file_without_a_listener_is_no_service(tmp_path: Path) -> None:
    assert local_socket.dial(tmp_path) is None
    local_socket.listen(tmp_path).close()
    assert local_socket.dial(tmp_path) is None
    with local_socket.listen(tmp_path):  # the next service takes its place
        channel = local_socket.dial(tmp_path)
        assert channel is not None
        channel.close()
    local_socket.unlink(tmp_path)
    assert list(tmp_path.iterdir()) == []
