"""The ceiling of messages: trio_websocket client and server in two processes, each message sent back whole.

    python -m bench.bare_echo serve                    prints its port, serves until it is ended
    python -m bench.bare_echo ask PORT BYTES SECONDS   prints round trips per second, one at a time
    python -m bench.bare_echo send PORT MIB TIMES      prints a JSON list of seconds per round trip

Both ends read as much at once as ours do; everything else is the library's default.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractAsyncContextManager

import trio
import trio_websocket

from .payload import items_json
from .probed import die_with_parent

_RECEIVE_SIZE = 256 * 1024
_LARGEST = 1024**3


async def _echo(request: trio_websocket.WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed:
        pass


async def _serve() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = trio_websocket.WebSocketServer(
            _echo, listeners, max_message_size=_LARGEST, receive_buffer_size=_RECEIVE_SIZE
        )
        nursery.start_soon(server.run)
        sys.stdout.write(f"port {listeners[0].socket.getsockname()[1]}\n")
        sys.stdout.flush()
        await trio.sleep_forever()


async def _ask(port: int, size: int, seconds: float) -> float:
    """Return round trips per second of small messages, one after another."""
    message = "x" * size
    async with _connection(port) as connection:
        count, begin = 0, time.perf_counter()
        while time.perf_counter() < begin + seconds:
            await connection.send_message(message)
            await connection.get_message()
            count += 1
        return count / (time.perf_counter() - begin)


async def _send(port: int, mebibytes: float, times: int) -> list[float]:
    """Return the seconds that each round trip of a large message takes."""
    message = items_json(mebibytes).decode()
    seconds = []
    async with _connection(port) as connection:
        for _ in range(times):
            begin = time.perf_counter()
            await connection.send_message(message)
            await connection.get_message()
            seconds.append(time.perf_counter() - begin)
    return seconds


def _connection(port: int) -> AbstractAsyncContextManager[trio_websocket.WebSocketConnection]:
    return trio_websocket.open_websocket_url(
        f"ws://127.0.0.1:{port}/", max_message_size=_LARGEST, receive_buffer_size=_RECEIVE_SIZE
    )


def main() -> None:
    """Do what the arguments say."""
    die_with_parent()
    match sys.argv[1:]:
        case ["serve"]:
            trio.run(_serve)
        case ["ask", port, size, seconds]:
            sys.stdout.write(f"{trio.run(_ask, int(port), int(size), float(seconds))}\n")
        case ["send", port, mebibytes, times]:
            sys.stdout.write(json.dumps(trio.run(_send, int(port), float(mebibytes), int(times))) + "\n")


if __name__ == "__main__":
    main()
