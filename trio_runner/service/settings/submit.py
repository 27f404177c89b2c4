"""The settings of ``trio-runner submit`` that say how to reach the broker: flag, variable or file."""

from __future__ import annotations

import attrs

from .kinds import BrokerUris, CertificateFile, Number, Token, UrlPath
from .table import setting

__all__ = ["ConnectionSettings"]

_CONNECTION = "Connection"


@attrs.frozen(kw_only=True)
class ConnectionSettings:
    """How to reach the broker; the texts below are the documentation."""

    brokers: tuple[str, ...] = setting(
        "TRIO_RUNNER_TASK_BROKER_URI",
        "N8N_RUNNERS_TASK_BROKER_URI",
        flag="--broker",
        kind=BrokerUris(metavar="URI"),
        default=("http://127.0.0.1:5679",),
        about="Base URI of the broker; of several the first.",
        group=_CONNECTION,
    )
    auth_token: str = setting(
        "TRIO_RUNNER_AUTH_TOKEN",
        "N8N_RUNNERS_AUTH_TOKEN",
        flag="--auth-token",
        kind=Token(),
        default="",
        about="Secret shared with the broker. A flag shows in the list of processes: prefer variable or"
        " file.",
        group=_CONNECTION,
        secret=True,
    )
    grant_token: str = setting(
        "TRIO_RUNNER_GRANT_TOKEN",
        "N8N_RUNNERS_GRANT_TOKEN",
        flag="--grant-token",
        kind=Token(),
        default="",
        about="Single-use token instead of the secret: good for one connection.",
        group=_CONNECTION,
        secret=True,
    )
    requesters_path: str = setting(
        "TRIO_RUNNER_REQUESTERS_PATH",
        flag="--requesters-path",
        kind=UrlPath(),
        default="/requesters",
        about="The broker's path for requesters.",
        group=_CONNECTION,
    )
    ca_file: str = setting(
        "TRIO_RUNNER_CA_FILE",
        flag="--ca-file",
        kind=CertificateFile(),
        default="",
        default_text="the system's",
        about="Certificates (PEM) to trust for https and wss instead of the system's.",
        group=_CONNECTION,
        from_file=False,
    )
    max_payload: int = setting(
        "TRIO_RUNNER_MAX_PAYLOAD",
        "N8N_RUNNERS_MAX_PAYLOAD",
        flag="--max-payload",
        kind=Number(1, 4 * 1024**3 - 1, metavar="BYTES"),
        default=1024**3,
        about="Largest message in either direction, in bytes.",
        group=_CONNECTION,
    )
