"""TLS and plain HTTP/2 as other people's programs see them: openssl and curl."""

import re
import shutil
import ssl
import subprocess

import pytest
import trio

from protocol.exchange import Exchange
from protocol.transport import client_tls_context, server_tls_context
from tests.protocol.support.certificates import Site, make_site
from tests.protocol.support.loopback import Server

# What Python 3.11 to 3.14 negotiate with OpenSSL 3: docs/protocol.md says so too.
NEGOTIATED_SUITES = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"}


async def run(*command: str) -> subprocess.CompletedProcess:
    with trio.fail_after(20):
        return await trio.run_process(command, capture_stdout=True, capture_stderr=True, stdin=b"", check=False)


async def pages(exchange: Exchange) -> None:
    assert exchange.method == ""
    if exchange.path == "/healthz":
        await exchange.send_plain(200, "text/plain", b"ok\n")
    elif exchange.headers.get("authorization") == "Bearer 00ff":
        await exchange.send_plain(200, "text/plain", b"metric 1\n" * 100_000)
    else:
        await exchange.send_plain(401, "text/plain", b"not you\n")


async def s_client(site: Site, port: int, *arguments: str) -> str:
    result = await run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", site.ca_file, "-alpn", "h2", *arguments
    )
    return (result.stdout + result.stderr).decode(errors="replace")


async def test_the_suite_that_is_negotiated(site: Site):
    async with Server(site, pages).running() as server:
        text = await s_client(site, server.port)
    assert "ALPN protocol: h2" in text
    suite = re.search(r"New, TLSv1\.3, Cipher is (\S+)", text)
    assert suite is not None
    assert suite[1] in NEGOTIATED_SUITES


async def test_a_client_can_have_aes_128(site: Site):
    async with Server(site, pages).running() as server:
        text = await s_client(site, server.port, "-ciphersuites", "TLS_AES_128_GCM_SHA256")
    assert "Cipher is TLS_AES_128_GCM_SHA256" in text


async def test_older_tls_is_refused(site: Site):
    async with Server(site, pages).running() as server:
        text = await s_client(site, server.port, "-tls1_2")
    assert "alert protocol version" in text


OLDER = ssl.TLSVersion.TLSv1_2


async def test_older_tls_by_configuration_has_one_suite(site: Site):
    async with Server(site, pages, minimum=OLDER).running() as server:
        text = await s_client(site, server.port, "-tls1_2")
        assert "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in text
        assert "ALPN protocol: h2" in text
        assert "Secure Renegotiation IS supported" in text  # the extension that keeps others from splicing one in
        assert "TLS session ticket:" not in text
        newer = await s_client(site, server.port)
    suite = re.search(r"New, TLSv1\.3, Cipher is (\S+)", newer)
    assert suite is not None
    assert suite[1] in NEGOTIATED_SUITES


@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA256",
        "AES128-GCM-SHA256",
    ],
)
async def test_no_other_suite_of_older_tls_is_taken(site: Site, suite: str):
    async with Server(site, pages, minimum=OLDER).running() as server:
        text = await s_client(site, server.port, "-tls1_2", "-cipher", suite)
    assert "handshake failure" in text


async def test_tls_1_1_is_refused_whatever_is_configured(site: Site):
    async with Server(site, pages, minimum=OLDER).running() as server:
        text = await s_client(site, server.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in text


async def test_no_session_outlives_its_connection(site: Site):
    async with Server(site, pages).running() as server:
        text = await s_client(site, server.port)
    assert "Post-Handshake New Session Ticket" not in text


async def test_a_client_without_http2_is_turned_away(site: Site):
    async with Server(site, pages).running() as server:
        await run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", site.ca_file)
        await server.ended.wait()
    assert "HTTP/2" in str(server.losses[0])


async def test_an_agents_certificate_of_another_authority_is_refused(site: Site, tmp_path):
    other = make_site(tmp_path)
    async with Server(site, pages).running() as server:
        await s_client(site, server.port, "-cert", other.agent_cert, "-key", other.agent_key)
        await server.ended.wait()
    assert "handshake failed" in str(server.losses[0])


def test_contexts_judge_no_time_but_everything_else(site: Site):
    server = server_tls_context(site.server_cert, site.server_key, site.ca_pem)
    client = client_tls_context(site.ca_pem)
    for context in (server, client):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_flags & 0x200000
    assert server.verify_mode is ssl.CERT_OPTIONAL
    assert client.verify_mode is ssl.CERT_REQUIRED
    assert client.check_hostname


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
async def test_curl_reads_the_plain_pages(tmp_path):
    site = make_site(tmp_path, valid_now=True)
    curl = ("curl", "--silent", "--show-error", "--http2", "--cacert", site.ca_file)
    async with Server(site, pages).running() as server:
        address = f"https://127.0.0.1:{server.port}"
        health = await run(*curl, "--write-out", "%{http_version} %{http_code}", f"{address}/healthz")
        assert health.stdout == b"ok\n2 200"
        head = await run(*curl, "--head", f"{address}/healthz")
        assert head.stdout.startswith(b"HTTP/2 200")
        refused = await run(*curl, f"{address}/metrics")
        assert refused.stdout == b"not you\n"
        metrics = await run(*curl, "--header", "Authorization: Bearer 00ff", f"{address}/metrics")
        assert metrics.stdout == b"metric 1\n" * 100_000
    assert server.losses == []


@needs_curl
async def test_curl_posts_a_body_with_a_declared_length(tmp_path):
    """A declared length goes through h2 itself; so does what curl sends."""
    site = make_site(tmp_path, valid_now=True)
    body = b"\1\0\0\0" + (3).to_bytes(4, "little") + bytes(4) + b"abc"
    (tmp_path / "body").write_bytes(body)
    seen = []

    async def handler(exchange: Exchange) -> None:
        frame = await exchange.receive_frame()
        seen.append((exchange.method, frame.header))
        assert await exchange.receive_frame() is None
        await exchange.send_plain(200, "text/plain", b"taken\n")

    async with Server(site, handler).running() as server:
        url = f"https://127.0.0.1:{server.port}/v1/some.method"
        posted = await run(
            *("curl", "--silent", "--http2", "--cacert", site.ca_file, "--data-binary", f"@{tmp_path}/body", url)
        )
    assert posted.stdout == b"taken\n"
    assert seen == [("some.method", b"abc")]
