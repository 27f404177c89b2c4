"""Everything that the health port of a daemon answers: health, metrics, and a page for people."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

import attrs

from ...transport.http_server import HttpRequest, HttpResponse
from ..status.document import Document, encode
from . import probes

__all__ = ["Site"]

# The page is made of three files of its own and asks for one more; nothing else is loaded or sent anywhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_FILES = {
    "/ui": ("page.html", "text/html; charset=utf-8"),
    "/ui/style.css": ("style.css", "text/css; charset=utf-8"),
    "/ui/script.js": ("script.js", "text/javascript; charset=utf-8"),
}


@attrs.frozen(kw_only=True)
class Site:
    """Answers requests.

    Attributes:
        document: the snapshot of the daemon.
        stalled: why the daemon makes no progress for a fault of its own, or None.
        metrics: all metrics as Prometheus reads them; None: there are none to be had.
        page: whether there is the page, which names workflows.
        local: it listens where only this machine can ask; then whoever asks must call it by a local name, or
            any web page could have a browser read it under a name of its own.
    """

    document: Callable[[], Document]
    stalled: Callable[[], str | None]
    metrics: Callable[[], bytes] | None = None
    page: bool = True
    local: bool = True

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        handler = self._handlers().get(request.path.rstrip("/") or "/")
        if handler is None:
            known = ", ".join(path for path in self._handlers() if path.count("/") == 1 and path != "/")
            return HttpResponse(404, f"Not found: ask for {known}\n".encode())
        if request.method != "GET":  # HEAD arrives as GET
            return HttpResponse(405, b"Only GET\n", headers=(("Allow", "GET, HEAD"),))
        if self.local and request.path.startswith(("/ui", "/metrics")) and not _is_local(request):
            return HttpResponse(403, b"Ask for it by an address or the name localhost\n")
        return handler()

    def _handlers(self) -> Mapping[str, Callable[[], HttpResponse]]:
        handlers: dict[str, Callable[[], HttpResponse]] = {
            "/": probes.healthz,
            "/healthz": probes.healthz,
            "/livez": lambda: probes.livez(self.document(), self.stalled()),
            "/readyz": lambda: probes.readyz(self.document()),
        }
        if self.metrics is not None:
            handlers["/metrics"] = self._metrics
        if self.page:
            handlers |= {path: _file(path) for path in _FILES}
            handlers["/ui/status.json"] = self._status
        return handlers

    def _metrics(self) -> HttpResponse:
        assert self.metrics is not None
        return HttpResponse(200, self.metrics(), _PROMETHEUS)

    def _status(self) -> HttpResponse:
        return HttpResponse(200, encode(self.document()), _JSON, _PAGE_HEADERS)


def _file(path: str) -> Callable[[], HttpResponse]:
    name, content_type = _FILES[path]
    return lambda: HttpResponse(200, _contents(name), content_type, _PAGE_HEADERS)


@cache
def _contents(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


def _is_local(request: HttpRequest) -> bool:
    """Whether the request names this machine by a name that no other site can take."""
    host = request.headers.get("host", "").strip().lower()
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
