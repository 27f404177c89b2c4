"""The text of the units: how systemd is to start, watch, confine and end a runner or a broker.

The confinement of the service goes with the walls around each task. The runner makes user, mount, PID, IPC,
network and host name namespaces for its tasks, mounts in them and hands Landlock and seccomp rules to the
kernel, so a directive that forbids one of these would take a wall away from every task. Where that is why a
usual directive is missing, the unit says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

__all__ = ["UnitFacts", "service_unit", "socket_unit"]

Lines = Iterator[str]


@attrs.frozen(kw_only=True)
class UnitFacts:
    """What a unit is made for.

    Attributes:
        command: program and arguments, absolute path first.
        role: ``run`` or ``broker``.
        name: of the service, without its suffix.
        token_file: absolute path of the file that holds the secret.
        for_user: a unit of a user's own manager; else the system's.
        run_as: account to run as; empty: one that exists only while the service runs.
        home: what the service may do in home directories: ``yes`` hides them, ``read-only`` shows them.
        systemd: version of systemd; 0: not known.
        listen: address of a socket unit that hands its socket over, or empty.
    """

    command: tuple[str, ...]
    role: str
    name: str
    token_file: str
    for_user: bool = False
    run_as: str = ""
    home: str = "yes"
    systemd: int = 0
    listen: str = ""

    @property
    def is_runner(self) -> bool:
        """It runs tasks."""
        return self.role == "run"


# systemd sends SIGHUP and waits for the end of the reload from this version on.
_NOTIFY_RELOAD = 253


def service_unit(facts: UnitFacts) -> str:
    """Return the text of a service."""
    sections = {
        "Unit": _unit(facts),
        "Service": _service(facts),
        "Install": iter([f"WantedBy={'default.target' if facts.for_user else 'multi-user.target'}"]),
    }
    text = "\n\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in sections.items())
    return f"# Made by `trio-runner install-service`. Change it with `systemctl edit {facts.name}`.\n{text}\n"


def socket_unit(facts: UnitFacts) -> str:
    """Return the text of the socket that a broker is handed."""
    return (
        "# Made by `trio-runner install-service`. Runners and requesters wait while the broker is started\n"
        "# anew, instead of being refused.\n"
        f"[Unit]\nDescription=Port of {facts.name}.service\n\n"
        f"[Socket]\nListenStream={facts.listen}\nNoDelay=yes\nBacklog=1024\n\n"
        "[Install]\nWantedBy=sockets.target\n"
    )


def _unit(facts: UnitFacts) -> Lines:
    what = "runs Python tasks for task brokers" if facts.is_runner else "matches task requests with runners"
    yield f"Description=trio-runner: {what}"
    if not facts.for_user:
        yield "Wants=network-online.target"
        yield "After=network-online.target"
    if facts.listen:
        yield f"Requires={facts.name}.socket"
        yield f"After={facts.name}.socket"
    yield "# Never given up: the broker may be down for longer than any count of attempts."
    yield "StartLimitIntervalSec=0"


def _service(facts: UnitFacts) -> Lines:
    yield from _life(facts)
    yield ""
    yield from _settings(facts)
    if not facts.for_user:
        yield ""
        yield from _account(facts)
    if facts.is_runner:
        yield ""
        yield from _resources()
    yield ""
    yield from _confinement(facts)


def _life(facts: UnitFacts) -> Lines:
    yield f"ExecStart={' '.join(map(_quoted, facts.command))}"
    if facts.systemd >= _NOTIFY_RELOAD and facts.is_runner:
        yield "Type=notify-reload"
    else:
        yield "Type=notify"
        if facts.is_runner:
            yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield "NotifyAccess=main"
    yield "SyslogIdentifier=trio-runner"
    if facts.is_runner:
        yield "# Ready once a broker has registered the runner. Until then it asks for more time as long as"
        yield "# it tries properly, and is ended if it does not."
    yield "TimeoutStartSec=60"
    yield "# Fed by progress and not by a timer. SIGABRT makes it write where it stood."
    yield "WatchdogSec=30"
    yield "# At the stop it asks for as much time as its grace is set to; this is for a process that cannot."
    yield "TimeoutStopSec=30"
    yield "# SIGTERM is for the daemon alone: tasks go on to their end within the grace."
    yield "KillMode=mixed"
    yield "Restart=always"
    yield "RestartSec=2"
    yield "# 2: a setting is wrong, which no restart mends."
    yield "RestartPreventExitStatus=2"


def _settings(facts: UnitFacts) -> Lines:
    where = "%E" if facts.for_user else "/etc"
    yield f"# Settings: {where}/trio-runner/config.toml, or variables in the file below."
    yield f"EnvironmentFile=-{where}/trio-runner/{facts.name}.env"
    yield f"LoadCredential=auth-token:{facts.token_file}"


def _account(facts: UnitFacts) -> Lines:
    yield f"User={facts.run_as}" if facts.run_as else "DynamicUser=yes"
    yield f"RuntimeDirectory={facts.name}"
    yield "RuntimeDirectoryMode=0700"


def _resources() -> Lines:
    yield "# A part of the tree of control groups for the runner to divide among its tasks."
    yield "Delegate=cpu memory pids"
    yield "# A task that runs out of memory ends alone."
    yield "OOMPolicy=continue"
    yield "LimitNOFILE=65536"
    yield "LimitCORE=0"


def _confinement(facts: UnitFacts) -> Lines:
    yield from (
        "UMask=0077",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "SystemCallArchitectures=native",
        "SystemCallErrorNumber=EPERM",
    )
    yield from _runner_kernel() if facts.is_runner else _broker_kernel()
    if not facts.for_user:  # a user's manager may not set up these
        yield from _system(facts)
        yield from _runner_system() if facts.is_runner else _broker_system()


def _runner_kernel() -> Lines:
    yield "# What the walls around tasks are made of: namespaces, mounts, Landlock and seccomp."
    yield "RestrictNamespaces=user mnt pid ipc net uts"
    yield (
        "SystemCallFilter=@system-service @mount seccomp sethostname"
        " landlock_create_ruleset landlock_add_rule landlock_restrict_self"
    )
    yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK"
    yield "# MemoryDenyWriteExecute is missing: libraries that tasks import may make code while they run."


def _broker_kernel() -> Lines:
    yield "RestrictNamespaces=yes"
    yield "SystemCallFilter=@system-service"
    yield "SystemCallFilter=~@privileged @resources"
    yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"
    yield "MemoryDenyWriteExecute=yes"


def _system(facts: UnitFacts) -> Lines:
    yield from (
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "DevicePolicy=closed",
        "KeyringMode=private",
        "PrivateDevices=yes",
        "PrivateTmp=yes",
        "ProtectClock=yes",
        f"ProtectHome={facts.home}",
        "ProtectKernelModules=yes",
        "ProtectSystem=strict",
        "RemoveIPC=yes",
    )


def _runner_system() -> Lines:
    yield "# ProtectKernelTunables, ProtectKernelLogs, ProtectProc and ProcSubset are missing: where parts of"
    yield "# /proc are covered, the kernel lets nobody mount the process list that hides others from tasks."
    yield "# ProtectHostname is missing: tasks get a host name of their own. ProtectControlGroups is missing:"
    yield "# see Delegate. PrivateUsers is missing: a task's user namespace is made by the runner."


def _broker_system() -> Lines:
    yield from (
        "PrivateUsers=yes",
        "ProcSubset=pid",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
    )


def _quoted(word: str) -> str:
    """Return a word as a command line of systemd has it."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and not any(character.isspace() or character in "\"'\\;" for character in word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
