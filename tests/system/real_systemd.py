"""A real systemd as the first process of namespaces of its own, with a journal, on any Linux machine as root.

A systemd that boots clears directories for temporary files, sets kernel parameters and makes devices. So this
one knows no unit but the few that are written here, sees the machine's files read-only, and everything that
is to be written (/tmp, /var, /run, /opt, /dev/shm, control groups) is a file system of its own.

The package lies at /opt/package in there and its Python's environment at /opt/environment. The directories
above an interpreter that lies in somebody's home may be entered by everybody, as on a machine where it was
installed for a service.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

__all__ = ["Systemd", "eventually", "open_systemd", "why_impossible"]

_PROGRAM = Path("/lib/systemd/systemd")
_TOOLS = ("unshare", "nsenter", "mount", "systemctl", "journalctl", "ip")
_PACKAGE = Path(__file__).parents[2]
_PYTHON = Path(sys.base_prefix).resolve()
LIMIT = 60.0
"""Seconds for what takes one or two on a quiet machine."""

# Outside of the future namespaces: a control group of its own. Then everything else.
_OUTER = """\
set -eu
mount --make-rprivate /
mkdir -p "$1/cgroup"
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir "$1/cgroup/$2"
echo $$ > "$1/cgroup/$2/cgroup.procs"
exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child /bin/sh -c "$3" inner "$@"
"""
# The first process in them, until it becomes systemd.
_INNER = """\
set -eu
mount -t proc proc /proc
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t tmpfs tmpfs /opt
mkdir -p /opt/package /opt/environment /opt/python /opt/journald
mount --bind "$4" /opt/package
mount --bind "$5" /opt/environment
mount --bind "$6" /opt/python
mount --bind /lib/systemd/system /opt/journald
home="/$(echo "$6" | cut -d/ -f2)"
if [ "$(stat -c %a "$home")" != 755 ]; then
    mount -t tmpfs -o mode=755 tmpfs "$home"
    mkdir -p "$6"
    mount --bind /opt/python "$6"
    mount -o remount,bind,ro "$6"
fi
for own in /tmp /var /run /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$own"; done
chmod 755 /var /run
mkdir -p /var/tmp /var/lib /run/systemd/system /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for shared in / /dev /sys /opt/package /opt/environment /opt/python /opt/journald; do
    mount -o remount,bind,ro "$shared"
done
cd /run/systemd/system
for unit in systemd-journald.service systemd-journald.socket; do
    sed -e '/^Wants=/d; /^Requires=/d; /^Also=/d' -e 's/^Sockets=.*/Sockets=systemd-journald.socket/' \
        "/opt/journald/$unit" > "$unit"
done
for target in basic sysinit sockets shutdown multi-user network-online; do
    printf '[Unit]\\nDefaultDependencies=no\\n' > "$target.target"
done
printf '[Unit]\\nDefaultDependencies=no\\n' > test.target
printf 'Wants=systemd-journald.socket systemd-journald.service\\n' >> test.target
ip link set lo up
touch /tmp/its-own
test ! -e "$1" && test "$(ls /tmp)" = its-own  # else it would see what is not its own: end here
mount --make-rshared /  # among its own namespaces: what is mounted for a service reaches it
export container=test SYSTEMD_UNIT_PATH=/run/systemd/system
exec /lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=0
"""


def why_impossible() -> str:
    """Say why there can be no systemd here; empty: there can be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may make the namespaces that a systemd needs"
    if not _PROGRAM.exists():
        return "there is no systemd on this machine"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    # In a container without rights, or without cgroup2.
    command = ["unshare", "--mount", "--pid", "--cgroup", "--net", "--fork"]
    trial = subprocess.run(
        [*command, "sh", "-c", "mount -t cgroup2 x /mnt"], capture_output=True, check=False, timeout=20
    )
    return "" if trial.returncode == 0 else f"no namespaces or no cgroup2: {trial.stderr.decode().strip()}"


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that nobody tells of and that can only be asked for."""
    with trio.fail_after(LIMIT):
        while not await condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.1)


class Systemd:
    """A running systemd.

    Attributes:
        pid: of its first process, as seen from outside.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid

    async def has_journal(self) -> bool:
        """Whether the journal takes lines."""
        return await self.systemctl("is-active", "systemd-journald", check=False) == "active"

    async def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside; return what it prints."""
        with trio.fail_after(LIMIT):
            done = await trio.run_process(
                ["nsenter", "-t", str(self.pid), "-a", *command],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )
        output = done.stdout.decode().strip()
        assert done.returncode == 0 or not check, f"{command}: {output}"
        return output

    async def systemctl(self, *arguments: str, check: bool = True) -> str:
        """Ask systemd."""
        return await self.run("systemctl", "--no-pager", *arguments, check=check)

    async def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return await self.systemctl("show", unit, "--value", "-p", name)

    async def journal(self, *matches: str) -> str:
        """Return lines of the journal."""
        return await self.run("journalctl", "--no-pager", "-q", *matches)

    async def wait_for_line(self, text: str, *matches: str) -> None:
        """Wait until a line of the journal has a text in it."""

        async def is_there() -> bool:
            return text in await self.journal(*matches)

        await eventually(is_there)

    async def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        script = 'mkdir -p "$(dirname "$0")" && cat > "$0"'
        command = ["nsenter", "-t", str(self.pid), "-a", "sh", "-c", script, path]
        await trio.run_process(command, stdin=text.encode())


@asynccontextmanager
async def open_systemd(directory: Path) -> AsyncIterator[Systemd]:
    """Run a systemd for the length of a block.

    Args:
        directory: an empty one, below the directory for temporary files.
    """
    group = f"trio-runner-test-{os.getpid()}"
    arguments = [str(directory), group, _INNER, str(_PACKAGE), sys.prefix, str(_PYTHON)]
    log = directory / "output"
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            ["unshare", "--mount", "/bin/sh", "-c", _OUTER, "outer", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
    first = 0

    async def has_become_systemd() -> bool:
        assert process.poll() is None, log.read_text()
        return bool(_first_process(process.pid))

    try:
        await eventually(has_become_systemd)
        first = _first_process(process.pid)
        systemd = Systemd(first)
        await eventually(systemd.has_journal)
        yield systemd
    finally:
        with trio.CancelScope(shield=True):
            if first:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(first, signal.SIGKILL)  # and the kernel kills everything in there
            else:
                process.kill()
            await process.wait()
            await _remove_group(group)


def _first_process(pid: int) -> int:
    """Return the child of unshare once it has become systemd."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
            return int(children[0])
    except OSError:
        pass
    return 0


async def _remove_group(group: str) -> None:
    """Remove the control groups, which are empty, from the machine's tree."""
    script = (
        "mount -t tmpfs x /mnt && mkdir /mnt/c && mount -t cgroup2 x /mnt/c &&"
        f" find /mnt/c/{group} -depth -type d -exec rmdir {{}} +"
    )
    command = ["unshare", "--mount", "sh", "-c", script]
    await trio.run_process(command, check=False, capture_stdout=True, capture_stderr=True)
