"""Programs that share no code with ours speak HTTP/2 with the server: nghttp (nghttp2) and curl."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import trio

from protocol.exchange import Exchange
from protocol.h2_inside import H2Inside
from tests.protocol.support.certificates import Site, make_site
from tests.protocol.support.loopback import Server

PAGE = bytes(range(256)) * 2_000
HEADERS = [bytes([number % 256]) * (9_000 + 101 * number) for number in range(70)]
BODY = b"".join(struct.pack("<B3xII", 1, len(header), 0) + header for header in HEADERS)


@pytest.fixture(autouse=True, params=[True, False], ids=["around", "through"])
def goes_around(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """DATA around h2, and through it."""
    monkeypatch.setattr(H2Inside, "goes_around", request.param)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


class Peer:
    """What the server took, frame by frame, and where."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    async def handle(self, exchange: Exchange) -> None:
        if exchange.http_method == "GET":
            return await exchange.send_plain(200, "application/octet-stream", PAGE)
        assert exchange.method == "hello"
        while (frame := await exchange.receive_frame()) is not None:
            self.frames.append(frame.header)
            await trio.lowlevel.checkpoint()
        await exchange.send_plain(200, "text/plain", b"taken\n")


async def run(*command: str) -> subprocess.CompletedProcess:
    with trio.fail_after(30):
        return await trio.run_process(command, capture_stdout=True, capture_stderr=True, stdin=b"", check=False)


@pytest.fixture
def body(tmp_path: Path) -> str:
    (tmp_path / "body").write_bytes(BODY)
    return str(tmp_path / "body")


@needs("nghttp")
@pytest.mark.parametrize("options", [[], ["--window-bits=10"], ["--window-bits=7", "--connection-window-bits=17"]])
async def test_nghttp_reads_a_page_through_small_windows(site: Site, options: list[str]):
    peer = Peer()
    async with Server(site, peer.handle).running() as server:
        read = await run("nghttp", *options, f"https://127.0.0.1:{server.port}/page")
    assert read.stdout == PAGE, read.stderr
    assert server.losses == []


@needs("nghttp")
@pytest.mark.parametrize(
    "options",
    [["--padding=1"], ["--padding=255", "--no-content-length"], ["--no-content-length"], ["--trailer=x: y"]],
    ids=" ".join,
)
async def test_nghttp_sends_odd_and_padded_data_frames(site: Site, body: str, options: list[str]):
    peer = Peer()
    async with Server(site, peer.handle).running() as server:
        url = f"https://127.0.0.1:{server.port}/v1/hello"
        sent = await run("nghttp", "--verbose", *options, f"--data={body}", url)
    assert b"taken" in sent.stdout, sent.stderr
    assert peer.frames == HEADERS
    assert (b"PADDED" in sent.stdout) is any("padding" in option for option in options)
    assert server.losses == []


@needs("nghttp")
async def test_nghttp_asks_for_several_pages_at_once(site: Site):
    async with Server(site, Peer().handle).running() as server:
        address = f"https://127.0.0.1:{server.port}"
        read = await run("nghttp", "--window-bits=14", *(f"{address}/{number}" for number in range(5)))
    assert len(read.stdout) == 5 * len(PAGE)
    assert read.stdout.count(b"\xfe\xff\x00\x01") >= 5 * 1_500
    assert server.losses == []


@needs("curl")
async def test_curl_sends_and_reads(tmp_path: Path, body: str):
    site, peer = make_site(tmp_path, valid_now=True), Peer()
    curl = ("curl", "--silent", "--show-error", "--http2", "--cacert", site.ca_file)
    async with Server(site, peer.handle).running() as server:
        address = f"https://127.0.0.1:{server.port}"
        read = await run(*curl, f"{address}/page")
        sent = await run(*curl, "--data-binary", f"@{body}", f"{address}/v1/hello")
        piped = await run(
            *curl, "--header", "Content-Length:", "--upload-file", body, "-X", "POST", f"{address}/v1/hello"
        )
    assert (read.stdout, sent.stdout, piped.stdout) == (PAGE, b"taken\n", b"taken\n")
    assert peer.frames == 2 * HEADERS
    assert server.losses == []
