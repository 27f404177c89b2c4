"""TCP and TLS: every way to fail has its own error, for links and for requests."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.abc
from trio.testing import MockClock

from trio_runner.errors import ConfigError, LinkError, LinkLost
from trio_runner.protocol import messages as m
from trio_runner.protocol.codec import BROKER_TO_RUNNER
from trio_runner.transport.dial import open_link
from trio_runner.transport.link import LinkSettings

Play = Callable[[Any], Awaitable[None]]
StartRawServer = Callable[..., Awaitable[int]]
TEXT = 1


@attrs.frozen
class Certificate:
    """Where a certificate and its key are."""

    file: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return a context for a server that shows this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.file, self.key)
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1 that nobody has signed but itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    whose = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    where = ["-keyout", str(made.key), "-out", str(made.file)]
    subprocess.run([openssl, *kind, *whose, *where], check=True, capture_output=True)
    return made


async def failure(url: str, *, settings: LinkSettings | None = None, bearer: str = "token") -> LinkError:
    """Return the error with which opening a link fails."""
    with pytest.raises(LinkError) as caught:
        async with open_link(url, BROKER_TO_RUNNER, bearer=bearer, settings=settings or LinkSettings()):
            pytest.fail("the link opened")
    assert "\n" not in str(caught.value)
    return caught.value


async def failure_with(start: StartRawServer, play: Play, scheme: str = "ws", **options: Any) -> LinkError:
    """Return the error with which a server that plays `play` is left."""
    async with trio.open_nursery() as nursery:
        port = await start(nursery, play, options.pop("context", None))
        error = await failure(f"{scheme}://127.0.0.1:{port}/runners/_ws?id=1", **options)
        assert f"127.0.0.1:{port}" in str(error)
        nursery.cancel_scope.cancel()
    return error


class Resolver(trio.abc.HostnameResolver):
    """Knows no name; or, if `hangs`, never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        if self._hangs:
            await trio.sleep_forever()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


# --- before the handshake ---------------------------------------------------------------------------


async def test_refused() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and not listened on: nobody else gets it
        port = held.getsockname()[1]
        error = await failure(f"http://127.0.0.1:{port}/x")
    assert isinstance(error, LinkLost)
    assert (
        str(error)
        == f"127.0.0.1:{port} refused the connection: is the broker running, and is the port right?"
    )


async def test_unknown_host() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    assert "cannot resolve nowhere.example (for nowhere.example:5679)" in str(
        await failure("http://nowhere.example:5679/x")
    )


async def test_a_host_name_that_cannot_be_one() -> None:
    assert "cannot resolve" in str(await failure(f"http://{'a' * 70}.example:5679/x"))


async def test_an_address_without_a_route() -> None:
    assert "cannot connect to 255.255.255.255:1" in str(await failure("http://255.255.255.255:1/x"))


async def test_name_resolution_that_hangs(autojump_clock: MockClock) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver(hangs=True))
    error = await failure("http://slow.example:5679/x", settings=LinkSettings(connect_timeout=3))
    assert trio.current_time() == pytest.approx(3, abs=0.1)
    assert "slow.example:5679 did not accept a connection within 3 s" in str(error)


# --- TLS --------------------------------------------------------------------------------------------


async def say_hello(peer: Any) -> None:
    await peer.accept(extra=peer.frame(TEXT, b'{"type":"broker:inforequest"}'))
    await peer.read()


async def test_tls_with_a_ca_file(start_raw_server: StartRawServer, certificate: Certificate) -> None:
    settings = LinkSettings(ca_file=str(certificate.file))
    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, say_hello, certificate.server_context())
        async with open_link(
            f"https://127.0.0.1:{port}/", BROKER_TO_RUNNER, bearer="", settings=settings
        ) as link:
            assert await link.receive() == m.InfoRequest()
        nursery.cancel_scope.cancel()


async def test_tls_with_a_certificate_nobody_trusts(
    start_raw_server: StartRawServer, certificate: Certificate
) -> None:
    error = await failure_with(start_raw_server, say_hello, "wss", context=certificate.server_context())
    assert "is not trusted: self" in str(error)
    assert "ca_file (TRIO_RUNNER_CA_FILE)" in str(error)


async def test_tls_with_a_certificate_for_another_host(
    start_raw_server: StartRawServer, certificate: Certificate
) -> None:
    settings = LinkSettings(ca_file=str(certificate.file))
    async with trio.open_nursery() as nursery:
        port = await start_raw_server(nursery, say_hello, certificate.server_context())
        error = await failure(f"wss://localhost:{port}/", settings=settings)
        nursery.cancel_scope.cancel()
    assert "Hostname mismatch, certificate is not valid for 'localhost'" in str(error)


async def test_tls_to_a_server_without_it(start_raw_server: StartRawServer) -> None:
    async def play(peer: Any) -> None:
        await peer.stream.receive_some()
        await peer.stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert "does not speak TLS: use http://" in str(await failure_with(start_raw_server, play, "wss"))


async def test_no_tls_to_a_server_with_it(start_raw_server: StartRawServer, certificate: Certificate) -> None:
    error = await failure_with(start_raw_server, say_hello, "ws", context=certificate.server_context())
    assert "speaks TLS: use https://" in str(error) or "closed the connection without an answer" in str(error)


async def test_a_server_that_hangs_up_in_the_tls_handshake(start_raw_server: StartRawServer) -> None:
    async def play(peer: Any) -> None:
        await peer.stream.receive_some()

    error = await failure_with(start_raw_server, play, "wss")
    assert "ended the connection during the TLS handshake" in str(error)


async def test_a_server_that_is_silent_in_the_tls_handshake(
    start_raw_server: StartRawServer, autojump_clock: MockClock
) -> None:
    async def play(peer: Any) -> None:
        await trio.sleep_forever()

    error = await failure_with(start_raw_server, play, "wss", settings=LinkSettings(connect_timeout=4))
    assert trio.current_time() == pytest.approx(4, abs=0.1)
    assert "finished no TLS handshake within 4 s" in str(error)


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_a_ca_file_that_cannot_be_used(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    settings = LinkSettings(ca_file=str(file))
    with pytest.raises(ConfigError, match=r"ca_file '.*ca\.pem' cannot be used: .*; it must be a PEM file"):
        async with open_link("wss://127.0.0.1:1/", BROKER_TO_RUNNER, bearer="", settings=settings):
            pytest.fail("the link opened")
