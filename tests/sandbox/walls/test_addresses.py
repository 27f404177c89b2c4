"""Addresses that stay shut while the network is open. Takes root and control groups of version 2."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from trio_runner.sandbox.walls.groups import remove_groups
from trio_runner.sandbox.walls.hierarchies import own_group

from .children import run

CODE = """
allowed, shut = map(int, sys.argv[2:4])
base = sys.argv[4]
try:
    addresses.shut_addresses(base, [shut])
except OSError as error:
    result = str(error)
else:
    def connect(address, port, family=socket.AF_INET):
        with socket.socket(family) as made:
            made.settimeout(0.2)
            return refused(made.connect, (address, port))
    def send(address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            return refused(made.sendto, b'x', (address, 53))
    child = os.fork()  # a task: the group is inherited
    if child == 0:
        result = {
            'allowed': connect('127.0.0.1', allowed),
            'shut': connect('127.0.0.1', shut),
            'shut by another address': connect('127.1.2.3', shut),
            'shut by none': connect('0.0.0.0', shut),
            'shut, mapped': connect('::ffff:127.0.0.1', shut, socket.AF_INET6),
            'shut, version 6': connect('::1', shut, socket.AF_INET6),
            'metadata': connect('169.254.169.254', 80),
            'metadata, mapped': connect('::ffff:169.254.169.254', 80, socket.AF_INET6),
            'metadata, version 6': connect('fd00:ec2::254', 80, socket.AF_INET6),
            'metadata, datagram': send('169.254.169.254'),
        }
        print(json.dumps(result)); sys.stdout.flush(); os._exit(0)
    os.waitpid(child, 0)
    sys.stdout.flush(); os._exit(0)
"""


def test_metadata_and_own_ports_are_shut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as allowed, socket.create_server(("127.0.0.1", 0)) as shut:
        ports = [str(server.getsockname()[1]) for server in (allowed, shut)]
        base = f"/trio-runner-test-{os.getpid()}"
        try:
            found = run(CODE, *ports, base)
        finally:
            remove_groups(base)
    if isinstance(found, str):
        pytest.skip(found)
    assert not Path(own_group() + base).exists()
    assert found.pop("allowed") == 0
    assert set(found.values()) == {errno.EPERM}, found


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become nobody")
def test_without_rights_it_says_so() -> None:
    assert isinstance(run(CODE, "1", "2", "/trio-runner-test-nobody", nobody=True), str)
