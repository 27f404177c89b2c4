"""Real daemons, looked into and told what to do through all their windows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from .daemon_process import open_daemon

pytestmark = pytest.mark.process
TOKEN = {"N8N_RUNNERS_AUTH_TOKEN": "a-secret-of-the-test"}


async def ask(port: int, path: str) -> tuple[int, str]:
    with trio.fail_after(20):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b"".join([chunk async for chunk in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def run(*arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command to its end; return its exit code and all it wrote."""
    async with open_daemon(*arguments, environment=environment) as command:
        code = await command.ended()
        return code, command.all


async def test_the_life_of_two_daemons_as_seen_from_outside(tmp_path: Path) -> None:
    place = {"XDG_RUNTIME_DIR": str(tmp_path), "TRIO_RUNNER_CONTROL_SOCKET": "auto"}
    environment = TOKEN | place
    health = ("--health-check", "--health-check-port", "0")
    async with open_daemon("broker", "--port", "0", *health, environment=environment) as broker:
        url = (await broker.line(r"listening on (http://\S+)"))[1]
        broker_name = f"broker-{url.rpartition(':')[2]}"
        broker_port = int((await broker.line(r"Health check server listening on .* port (\d+)"))[1])
        runner_of = ("run", "--broker", url, "--id", "seen", *health)
        async with open_daemon(*runner_of, environment=environment) as runner:
            port = int((await runner.line(r"Health check server listening on .* port (\d+)"))[1])
            await runner.line("Registered with broker")

            assert await ask(port, "/healthz") == (200, "OK")
            status, live = await ask(port, "/livez")
            assert (status, json.loads(live)["state"]) == (200, "alive")
            status, ready = await ask(port, "/readyz")
            assert (status, json.loads(ready)["state"]) == (200, "offering")

            code, _ = await run("submit", "--broker", url, "-c", "return 1", environment=environment)
            assert code == 0
            for asked, name in ((port, "trio_runner_tasks"), (broker_port, "trio_runner_broker_tasks")):
                families = text_string_to_metric_families((await ask(asked, "/metrics"))[1])
                [family] = [family for family in families if family.name == name]
                assert sum(sample.value for sample in family.samples) == 1

            code, told = await run("status", environment=place)
            assert code == 1
            # There may be more of this user's.
            assert re.search(rf"several daemons run here; name one: .*{broker_name}\b.*runner-seen", told)
            code, told = await run("status", "seen", environment=place)
            assert (code, "OFFERING" in told, url in told) == (0, True, True)
            code, told = await run("top", broker_name, environment=place)
            assert (code, "SERVING" in told, "done 1" in told) == (0, True, True)
            code, told = await run("status", "seen", "--json", environment=place)
            assert json.loads(told)["runner"]["outcomes"] == {"completed": 1}

            assert (await run("log-level", "debug", "seen", environment=place))[0] == 0
            await runner.line("Log level is debug now")
            assert (await run("drain", "seen", "--wait", environment=place))[0] == 0
            assert await runner.ended() == 0
        code, told = await run("status", "seen", environment=place)
        assert code == 1
        assert "no daemon is called 'seen'; there are " in told
