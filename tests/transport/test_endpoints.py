"""URLs of brokers."""

from __future__ import annotations

import pytest

from trio_runner.errors import ConfigError
from trio_runner.transport.endpoints import Endpoint, broker_endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://127.0.0.1:5679", "ws://127.0.0.1:5679/runners/_ws?id=a%2Fb"),
        ("http://127.0.0.1:5679/", "ws://127.0.0.1:5679/runners/_ws?id=a%2Fb"),
        ("https://n8n.example/prefix", "wss://n8n.example/prefix/runners/_ws?id=a%2Fb"),
        ("https://n8n.example/prefix/", "wss://n8n.example/prefix/runners/_ws?id=a%2Fb"),
        (" ws://[::1]:80 ", "ws://[::1]:80/runners/_ws?id=a%2Fb"),
        ("HTTPS://n8n.example", "wss://n8n.example/runners/_ws?id=a%2Fb"),
    ],
)
def test_a_path_is_appended_and_the_prefix_kept(base: str, expected: str) -> None:
    assert broker_endpoint(base, "/runners/_ws", query={"id": "a/b"}) == expected


def test_without_a_query_there_is_no_question_mark() -> None:
    assert broker_endpoint("http://x:1", "runners/auth") == "ws://x:1/runners/auth"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "is not the URL of a broker"),
        ("localhost:5679", "is not the URL of a broker"),
        ("127.0.0.1:5679", "is not"),
        ("ftp://x", "is not the URL of a broker"),
        ("http://", "is not the URL of a broker"),
        ("http://:5679", "is not the URL of a broker"),
        ("http://x:port", "is not a URL: Port could not be cast"),
        ("http://x:70000", "is not a URL: Port out of range"),
        ("http://x:0", "names port 0"),
        ("http://[::1", "is not a URL: Invalid IPv6"),
        ("http://user:secret@x:1", "the URL for x:1 holds a user name or password"),
    ],
)
def test_what_is_no_broker_url_is_refused_with_a_remedy(url: str, why: str) -> None:
    for read in (parse_endpoint, lambda base: broker_endpoint(base, "/x")):
        with pytest.raises(ConfigError) as caught:
            read(url)
        assert why in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("base", ["http://x/?a=1", "http://x/#top"])
def test_a_base_ends_with_its_path(base: str) -> None:
    with pytest.raises(ConfigError, match="must end with its path"):
        broker_endpoint(base, "/x")


@pytest.mark.parametrize("url", ["http://x/a b", "http://x/ä", "http://x/a?q=\u2028x"])
def test_a_target_that_no_request_line_can_carry(url: str) -> None:
    with pytest.raises(ConfigError, match="must be percent-encoded"):
        parse_endpoint(url)


def test_an_endpoint_knows_how_it_is_written() -> None:
    endpoint = parse_endpoint("wss://n8n.example/prefix/_ws?id=secret-ish")
    assert endpoint == Endpoint(True, "n8n.example", 443, "/prefix/_ws?id=secret-ish", "wss")
    assert endpoint.authority == "n8n.example:443"
    assert endpoint.host_header == "n8n.example"
    assert endpoint.shown == "wss://n8n.example:443/prefix/_ws"
    sixth = parse_endpoint("http://[::1]:5679")
    assert (sixth.host, sixth.host_header, sixth.target) == ("::1", "[::1]:5679", "/")
    assert parse_endpoint("ws://x").port == 80
