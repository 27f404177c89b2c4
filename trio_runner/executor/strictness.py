"""What follows from walls that this machine does not have: a refusal, or one line that tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import SandboxError
from ..sandbox.config import OPTIONAL, TRUSTED_NEEDS, WALLS, SandboxConfig

__all__ = ["check_walls", "describe_missing", "remedy_for", "worth_telling"]

_DOCS = "docs/security.md says more"
_NAMESPACES = (
    "permit user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns;"
    " in containers a seccomp profile that permits unshare and mount), or start it as root with CAP_SYS_ADMIN"
)
_REMEDIES: Mapping[str, str] = {
    "landlock": "use Linux 5.13 or newer with landlock among its security modules (boot option lsm=)",
    "seccomp": "use a kernel with seccomp filters on x86-64 or arm64",
    "user": "install Python where every user may read it, or do not start the runner as root",
    "cgroup": (
        "have memory and pids of a control group delegated to the runner alone (the unit of 'trio-runner"
        " install-service' does; or systemd-run -p Delegate=yes), or limit the memory of the runner as a"
        " whole (systemd: MemoryMax=; containers: --memory)"
    ),
    "addresses": "start it as root with a cgroup of version 2, or set --sandbox-network deny",
} | dict.fromkeys(
    ("user-namespace", "mount-namespace", "pid-namespace", "ipc-namespace", "network-namespace"), _NAMESPACES
)

Missing = Sequence[tuple[str, str]]


def check_walls(config: SandboxConfig, standing: Sequence[str], missing: Missing) -> None:
    """See whether a runner may start behind these walls.

    Args:
        config: what is wanted.
        standing: names of the walls that stand.
        missing: those that were wanted and cannot be had, and why.

    Raises:
        SandboxError: it may not; one line with the walls and the remedy.
    """
    if config.profile == "trusted" and (down := [name for name in TRUSTED_NEEDS if name not in standing]):
        raise SandboxError(
            f"sandbox profile trusted: it has no language rules, and {', '.join(down)} cannot be relied on"
            f" ({_reasons(down, missing)}); {_remedies(down)}; or use the profile n8n-compat"
        )
    if config.strictness == "required" and (told := worth_telling(missing)):
        names = [name for name, _ in told]
        raise SandboxError(
            f"sandbox required: this machine lacks {', '.join(names)} ({_reasons(names, missing)});"
            f" {_remedies(names)}; or use --sandbox best-effort"
        )


def worth_telling(missing: Missing) -> Missing:
    """Return those of the missing walls that weaken the others; some are there on few machines."""
    return [(name, why) for name, why in missing if name not in OPTIONAL]


def remedy_for(wall: str) -> str:
    """Return what an operator can do to have a wall."""
    return _REMEDIES.get(wall, "use a current Linux kernel")


def describe_missing(missing: Missing) -> str:
    """Say in one line which walls are missing, what that means, and what to do."""
    names = [name for name, _ in missing]
    meaning = "; ".join(f"{WALLS[name]} ({name})" for name in names)
    return (
        f"this machine lacks {len(names)} of the walls around tasks. Not so here: {meaning}."
        f" Why: {_reasons(names, missing)}. {_remedies(names)}; {_DOCS}"
    )


def _reasons(names: Sequence[str], missing: Missing) -> str:
    """Return the reasons, each once, with the walls that it is about where there are several."""
    known = dict(missing)
    by_reason: dict[str, list[str]] = {}
    for name in names:
        by_reason.setdefault(known.get(name, "switched off"), []).append(name)
    if len(by_reason) == 1:
        return next(iter(by_reason))
    return "; ".join(f"{', '.join(walls)}: {why}" for why, walls in by_reason.items())


def _remedies(names: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(remedy_for(name) for name in names))
