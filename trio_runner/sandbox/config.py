"""What stands between a task and the machine: the walls by name, the profile, the network, the limits.

A wall is something the kernel enforces. A profile says which language rules hold and how tight the limits
are; every profile has all walls. What the machine cannot do is missing, and the strictness says what then.
"""

from __future__ import annotations

import dataclasses
import json

from .abilities import starts_programs, uses_network
from .policy import Policy

__all__ = [
    "LIMIT_SETTINGS",
    "NETWORKS",
    "OPTIONAL",
    "PROFILES",
    "STRICTNESSES",
    "TRUSTED_NEEDS",
    "WALLS",
    "Limits",
    "SandboxConfig",
]

KIB, MIB, GIB = 1024, 1024**2, 1024**3

WALLS = {
    "no-new-privileges": "programs that would give more rights (sudo, ping) have no effect",
    "no-core-dumps": "a crash writes no memory to disk",
    "first-out-of-memory": "when memory runs out the kernel ends tasks, and nothing else",
    "private-memory": "nothing can read the memory or the first environment of the runner and its processes",
    "user": "tasks of a runner started as root run as a user who owns nothing",
    "capabilities": "not one of root's special rights",
    "user-namespace": "a task's user is nobody outside, and its processes are counted apart",
    "mount-namespace": "a root of its own: Python, the libraries, and a scratch directory that goes with it",
    "pid-namespace": "it sees and signals only its own processes, which all end with it",
    "ipc-namespace": "shared memory and message queues of its own",
    "network-namespace": "no network, not even this machine's own",
    "landlock": "files outside Python, the libraries and the scratch directory are out of reach",
    "seccomp": "system calls that tasks have no use for and attacks do are refused",
    "limits": "memory, processes, open files and file sizes have an upper bound",
    "cgroup": "memory and processes of all of a task's processes together have an upper bound",
    "addresses": "with the network open: cloud metadata and this machine's own ports stay shut",
}
"""Every wall and what it does, in the order in which they are reported."""

OPTIONAL = ("first-out-of-memory", "cgroup", "addresses")
"""Walls that add to others and that few machines have: without them the sandbox still counts as complete."""

TRUSTED_NEEDS = (
    "no-new-privileges",
    "user",
    "capabilities",
    "pid-namespace",
    "landlock",
    "seccomp",
    "limits",
)
"""Walls without which the profile ``trusted``, which has nothing else, is refused."""

PROFILES = ("n8n-compat", "trusted", "locked")
STRICTNESSES = ("required", "best-effort", "off")
NETWORKS = ("auto", "deny", "allow")

LIMIT_SETTINGS = {
    "memory": "TRIO_RUNNER_TASK_MEMORY",
    "cpu": "TRIO_RUNNER_TASK_CPU",
    "processes": "TRIO_RUNNER_TASK_PROCESSES",
    "open_files": "TRIO_RUNNER_TASK_OPEN_FILES",
    "file_size": "TRIO_RUNNER_TASK_FILE_SIZE",
    "scratch": "TRIO_RUNNER_TASK_SCRATCH",
}
"""For each limit, the setting that changes it, for messages to people."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one task may use; 0 means no limit.

    Attributes:
        memory: bytes of address space of each process, and of memory of all together where there is a cgroup.
        cpu: seconds of processor time of each process; the time-out of the task is in real time.
        processes: processes and threads at one time.
        open_files: descriptors of each process.
        file_size: bytes of the largest file.
        scratch: bytes of all files in the scratch directory together, which are held in memory.
    """

    memory: int = 4 * GIB
    cpu: int = 0
    processes: int = 128
    open_files: int = 512
    file_size: int = 256 * MIB
    scratch: int = 256 * MIB

    @classmethod
    def of_profile(cls, profile: str) -> Limits:
        """Return the limits of a profile."""
        if profile == "locked":
            return cls(memory=GIB, cpu=60, processes=16, open_files=64, file_size=32 * MIB, scratch=32 * MIB)
        return cls()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Which walls a runner raises around each of its tasks.

    Attributes:
        profile: ``n8n-compat`` (language rules as n8n's), ``trusted`` (no language rules, programs may be
            started) or ``locked`` (no imports, no network, tight limits).
        strictness: ``required`` (a missing wall is an error), ``best-effort`` (it is told of) or ``off``.
        network: ``auto`` (open if a module that tasks may import has use for it), ``deny`` or ``allow``.
        limits: what one task may use.
        disabled: names of walls that are not to be raised.
        closed_ports: ports of this machine that stay shut where the wall ``addresses`` stands.

    Raises:
        ValueError: a word is none of those, or values contradict each other.
    """

    profile: str = "n8n-compat"
    strictness: str = "best-effort"
    network: str = "auto"
    limits: Limits = dataclasses.field(default_factory=Limits)
    disabled: frozenset[str] = frozenset()
    closed_ports: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, words in (("profile", PROFILES), ("strictness", STRICTNESSES), ("network", NETWORKS)):
            if getattr(self, name) not in words:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is not known; write one of {', '.join(words)}"
                )
        if unknown := sorted(self.disabled - WALLS.keys()):
            raise ValueError(f"disabled: there is no wall {unknown[0]!r}; the walls are {', '.join(WALLS)}")
        if self.profile == "locked" and self.network == "allow":
            raise ValueError(
                "network: the profile locked has no network; write deny, or choose another profile"
            )
        if self.profile == "trusted" and self.strictness == "off":
            raise ValueError(
                "profile: trusted has nothing but the walls, and they are off; choose n8n-compat"
            )

    def policy_for(self, policy: Policy) -> Policy:
        """Return the language rules that hold under this profile, made of those that were asked for."""
        match self.profile:
            case "trusted":
                everything = frozenset("*")
                return dataclasses.replace(
                    policy, stdlib_allow=everything, external_allow=everything, builtins_deny=frozenset()
                )
            case "locked":
                return dataclasses.replace(policy, stdlib_allow=frozenset(), external_allow=frozenset())
        return policy

    def opens_network(self, policy: Policy) -> bool:
        """Whether tasks that run by these language rules get the network."""
        if self.profile == "locked":
            return False
        return self.network == "allow" or (self.network == "auto" and uses_network(policy))

    def starts_programs(self, policy: Policy) -> bool:
        """Whether tasks that run by these language rules may start programs."""
        return self.profile != "locked" and starts_programs(policy)

    def wanted(self, policy: Policy) -> tuple[str, ...]:
        """Return the names of the walls to raise, in order."""
        if self.strictness == "off":
            return ()
        other = "network-namespace" if self.opens_network(policy) else "addresses"
        return tuple(name for name in WALLS if name not in self.disabled and name != other)

    def to_json(self) -> str:
        """Write the configuration for the zygote."""
        return json.dumps(dataclasses.asdict(self) | {"disabled": sorted(self.disabled)})

    @classmethod
    def from_json(cls, text: str) -> SandboxConfig:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        limits, disabled = Limits(**fields.pop("limits")), frozenset(fields.pop("disabled"))
        ports = tuple(fields.pop("closed_ports"))
        return cls(**fields, limits=limits, disabled=disabled, closed_ports=ports)
