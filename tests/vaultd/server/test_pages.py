"""The two plain pages, read with curl."""

import shutil
from functools import partial

import pytest
import trio

from tests.vaultd.server.conftest import HOST, Running


async def curl(running: Running, path: str, *words: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    command = [
        "curl", "--silent", "--http2", "--cacert", str(running.directory / "authority.pem"),
        "--write-out", "\n%{http_code} %{content_type}", *words, f"https://{HOST}:{running.port}{path}",
    ]  # fmt: skip
    done = await trio.run_process(command, capture_stdout=True)
    body, _, last = done.stdout.decode().rpartition("\n")
    status, _, content_type = last.partition(" ")
    return int(status), content_type, body


async def test_healthz_is_open_to_everybody(running: Running) -> None:
    assert await curl(running, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")


async def test_metrics_want_an_operators_token(running: Running) -> None:
    read = partial(curl, running, "/metrics")
    token = running.created.operator_token.hex()
    for words in (
        (),
        ("-H", "authorization: Bearer " + "00" * 32),
        ("-H", "authorization: Bearer x"),
        ("-H", "authorization: " + token),
    ):
        status, _, body = await read(*words)
        assert status == 401
        assert "vaultd_" not in body
    status, content_type, body = await read("-H", f"authorization: Bearer {token}")
    assert (status, content_type.split(";")[0]) == (200, "text/plain")
    assert "\nvaultd_connections 1.0\n" in body


async def test_pages_are_read_only(running: Running) -> None:
    assert (await curl(running, "/healthz", "--data", "x"))[0] == 405


async def test_there_are_no_other_pages(running: Running) -> None:
    for path in ("/index.html", "/", "/v1/vault.status", "/healthz/"):
        assert (await curl(running, path))[0::2] == (404, "no such page\n")


async def test_a_stopped_store_is_not_healthy(running: Running) -> None:
    running.service.stop_after_disk_error()
    assert (await curl(running, "/healthz"))[0] == 503


@pytest.mark.skipif(shutil.which("nghttp") is None, reason="nghttp is not installed")
async def test_nghttp_reads_the_pages_through_a_small_window(running: Running) -> None:
    token = running.created.operator_token.hex()
    command = ["nghttp", "--window-bits=10", f"--header=authorization: Bearer {token}"]
    address = f"https://127.0.0.1:{running.port}"
    with trio.fail_after(20):
        health = await trio.run_process([*command, f"{address}/healthz"], capture_stdout=True, capture_stderr=True)
        metrics = await trio.run_process([*command, f"{address}/metrics"], capture_stdout=True, capture_stderr=True)
    assert health.stdout == b"ok\n"
    assert b"\nvaultd_connections 1.0\n" in metrics.stdout
