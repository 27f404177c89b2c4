"""A filter of system calls: what tasks have no use for and attacks on the kernel and on neighbours do.

The list names what is refused, not what is allowed: Python packages are of all kinds, and a call that is
missing from a list of what is allowed breaks honest code on some other machine. A call is refused with EPERM,
or with ENOSYS where the C library then takes another way. The program is assembled by hand: a library for it
takes forty times as long to load.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Sequence

from .kernel import AARCH64, MACHINE, X86_64, KernelRefused, syscall

__all__ = ["Filter", "build", "install", "refuse_only"]

# --- what is refused: number on x86-64, number on arm64; None: does not exist there ---------------------

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # file systems and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "fanotify_init": (300, 262),
    # parts of the kernel in which faults are found again and again
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "vmsplice": (278, 75),
    "remap_file_pages": (216, 234),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "uselib": (134, None),
    # memory that no limit counts
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    # the machine as a whole
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "sysfs": (139, None),
    "_sysctl": (156, None),
}
# The C library does without these when there are none: the flags of clone3 lie where no filter can look.
_ABSENT: dict[str, tuple[int | None, int | None]] = {"clone3": (435, 435), "memfd_create": (319, 279)}
_PROGRAMS: dict[str, tuple[int | None, int | None]] = {"execve": (59, 221), "execveat": (322, 281)}
_CLONE, _SOCKET, _SOCKETPAIR, _IOCTL = (56, 220), (41, 198), (53, 199), (16, 29)
_LANDLOCK: dict[str, tuple[int | None, int | None]] = {"landlock_create_ruleset": (444, 444)}

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… flag that clone knows
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the terminal of whoever started us
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16

# --- the machine that runs the filter -------------------------------------------------------------------

_ARCHITECTURES = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
_X32 = 0x40000000  # system calls of a second set of numbers
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ARGUMENT_SIZE = 8  # the lower half first, on both architectures
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38

_SECCOMP = {X86_64: 317, AARCH64: 277}
_SET_MODE_FILTER = 1


class Filter:
    """A program for the kernel, ready to be installed as often as needed."""

    def __init__(self, instructions: Sequence[bytes]) -> None:
        self.code = b"".join(instructions)
        self._code = ctypes.create_string_buffer(self.code, len(self.code))
        # struct sock_fprog: how many, and where
        packed = struct.pack("@HP", len(instructions), ctypes.addressof(self._code))
        self.program = ctypes.create_string_buffer(packed, len(packed))


def build(*, network: bool, programs: bool, machine: str = MACHINE) -> Filter:
    """Make a filter.

    Args:
        network: sockets of the internet may be made.
        programs: programs may be started.
        machine: the kind of processor that it is for.

    Raises:
        KernelRefused: the system calls of this machine are not known.
    """
    return Filter(list(_assemble(list(_program(_column(machine), network=network, programs=programs)))))


def refuse_only(*names: str) -> Filter:
    """Make a filter that refuses these calls and nothing else: it plays a machine that lacks something.

    Args:
        names: of system calls that `build` knows, or ``landlock_create_ruleset``.
    """
    column = _column(MACHINE)
    known = _REFUSED | _ABSENT | _PROGRAMS | _LANDLOCK
    lines: list[_Line | str] = [(_LOAD, _NUMBER, "", "")]
    lines += [(_IF_EQUAL, known[name][column] or 0, "refuse", "") for name in names]
    return Filter(list(_assemble([*lines, (_RETURN, _ALLOW, "", ""), *_endings()])))


def install(filter_: Filter) -> None:
    """Have the kernel filter the system calls of this process, and of its descendants, for good.

    The process must have given up new privileges.

    Raises:
        KernelRefused: that is impossible.
    """
    syscall("seccomp", _SECCOMP[MACHINE], _SET_MODE_FILTER, 0, filter_.program)


# --- the program ----------------------------------------------------------------------------------------

# operation, operand, where to go if it is so, where if not; places are labels, "" is the next line
_Line = tuple[int, int, str, str]


def _column(machine: str) -> int:
    if not machine:
        raise KernelRefused(_ENOSYS, "seccomp on this kind of processor")
    return (X86_64, AARCH64).index(machine)


def _program(column: int, *, network: bool, programs: bool) -> Iterator[_Line | str]:
    """Yield the lines of the program, and labels."""
    machine = (X86_64, AARCH64)[column]
    yield _LOAD, _ARCHITECTURE, "", ""
    yield _IF_EQUAL, _ARCHITECTURES[machine], "", "kill"
    yield _LOAD, _NUMBER, "", ""
    if machine == X86_64:
        yield _IF_AT_LEAST, _X32, "refuse", ""
    for table, answer in (
        (_ABSENT, "absent"),
        (_REFUSED, "refuse"),
        ({} if programs else _PROGRAMS, "refuse"),
    ):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                yield _IF_EQUAL, number, answer, ""
    yield _IF_EQUAL, _CLONE[column], "clone", ""
    yield _IF_EQUAL, _IOCTL[column], "ioctl", ""
    yield _IF_EQUAL, _SOCKETPAIR[column], "socket", ""
    yield _IF_EQUAL, _SOCKET[column], "socket", "allow"
    yield "clone"
    yield _LOAD, _argument(0), "", ""
    yield _IF_ANY_BIT, _NEW_NAMESPACES, "refuse", "allow"
    yield "ioctl"
    yield _LOAD, _argument(1), "", ""
    for request in _TERMINAL_INPUT:
        yield _IF_EQUAL, request, "refuse", ""
    yield _RETURN, _ALLOW, "", ""
    yield "socket"
    yield _LOAD, _argument(0), "", ""
    for family in (_UNIX, _INET, _INET6) if network else (_UNIX,):
        yield _IF_EQUAL, family, "allow", ""
    if network:  # the C library asks which addresses this machine has
        yield _IF_EQUAL, _NETLINK, "", "refuse"
        yield _LOAD, _argument(2), "", ""
        yield _IF_EQUAL, 0, "allow", ""
    yield from _endings()


def _endings() -> Iterator[_Line | str]:
    refuse, absent = _ERRNO | _EPERM, _ERRNO | _ENOSYS
    for label, action in (("refuse", refuse), ("absent", absent), ("kill", _KILL), ("allow", _ALLOW)):
        yield label
        yield _RETURN, action, "", ""


def _argument(index: int) -> int:
    return _FIRST_ARGUMENT + index * _ARGUMENT_SIZE


def _assemble(lines: Sequence[_Line | str]) -> Iterator[bytes]:
    """Yield each line as struct sock_filter, with labels turned into distances."""
    places: dict[str, int] = {}
    count = 0
    for line in lines:
        if isinstance(line, str):
            places[line] = count
        else:
            count += 1
    instructions = [line for line in lines if not isinstance(line, str)]
    for place, (operation, operand, then, otherwise) in enumerate(instructions):
        jumps = [places[label] - place - 1 if label else 0 for label in (then, otherwise)]
        yield struct.pack("=HBBI", operation, *jumps, operand)
