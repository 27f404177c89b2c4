"""With the network open: addresses that stay shut, cloud metadata and ports of this machine's own.

No wall of an ordinary process can see addresses, but a program attached to a control group can: the kernel
asks it at each connect and each datagram. That takes root and the second version of control groups. The
zygote moves into a group of its own, so that its workers are in it from the start. The programs are assembled
by hand.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from .hierarchies import parent_of_groups
from .kernel import AARCH64, MACHINE, X86_64, KernelRefused, syscall

__all__ = ["shut_addresses"]

_BPF = {X86_64: 321, AARCH64: 280}
_PROG_LOAD, _PROG_ATTACH = 5, 8
_CGROUP_SOCK_ADDR = 18
_ALLOW_MULTI = 2
_CONNECT4, _CONNECT6, _SENDMSG4, _SENDMSG6 = 10, 11, 14, 15
_ATTRIBUTES = 128

# struct bpf_sock_addr
_IP4, _IP6, _PORT = 4, 8, 24

_LINK_LOCAL = struct.unpack("=H", socket.inet_aton("169.254.0.0")[:2])[0]
# Metadata of clouds that do not use 169.254.169.254.
_METADATA4 = ("168.63.129.16", "100.100.100.200", "192.0.0.192")
_METADATA6 = ("fd00:ec2::254", "fe80::a9fe:a9fe", "fd20:ce::254")
_MAPPED = struct.unpack("=I", b"\x00\x00\xff\xff")[0]  # the third word of ::ffff:a.b.c.d
_LOOPBACK6 = struct.unpack("=I", b"\x00\x00\x00\x01")[0]  # the last word of ::1

_LOAD_WORD, _COPY, _MASK, _SET, _JUMP, _EXIT = 0x61, 0xBC, 0x54, 0xB7, 0x05, 0x95
_IF_EQUAL, _IF_OTHER = 0x16, 0x56  # of the lower 32 bits


def shut_addresses(base: str, ports: Sequence[int], group: str = "") -> None:
    """Have a control group in which those addresses cannot be reached, with this process in it.

    Args:
        base: path whose last part becomes the name of the group; see `groups.remove_groups`.
        ports: ports of this machine that are to stay shut.
        group: directory of one that this process is in already, or in one below it; else one is made.

    Raises:
        OSError: that is impossible: no root, or no control groups of version 2.
    """
    if not MACHINE:
        raise KernelRefused(38, "bpf")  # ENOSYS
    if group:
        _attach_all(group, ports)
        return
    made = os.path.join(parent_of_groups(), os.path.basename(base))
    os.makedirs(made, exist_ok=True)
    try:
        _attach_all(made, ports)
        with open(f"{made}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    except OSError:
        with contextlib.suppress(OSError):
            os.rmdir(made)
        raise


def _attach_all(group: str, ports: Sequence[int]) -> None:
    descriptor = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for kind, code in (
            (_CONNECT4, _program4(ports)),
            (_SENDMSG4, _program4(ports)),
            (_CONNECT6, _program6(ports)),
            (_SENDMSG6, _program6(ports)),
        ):
            _attach(descriptor, kind, code)
    finally:
        os.close(descriptor)


def _attach(group: int, kind: int, code: bytes) -> None:
    instructions, license_ = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    load = struct.pack(
        "=IIQQIIQII16sII",
        _CGROUP_SOCK_ADDR,
        len(code) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(license_),
        *(0, 0, 0, 0, 0),
        b"",
        0,
        kind,
    )
    program = syscall(
        "bpf", _BPF[MACHINE], _PROG_LOAD, ctypes.create_string_buffer(load, _ATTRIBUTES), _ATTRIBUTES
    )
    try:
        attach = ctypes.create_string_buffer(
            struct.pack("=IIII", group, program, kind, _ALLOW_MULTI), _ATTRIBUTES
        )
        syscall("bpf", _BPF[MACHINE], _PROG_ATTACH, attach, _ATTRIBUTES)
    finally:
        os.close(program)


# --- the programs: r1 is what is asked about, r2 an address of version 4; the answer is 1 for yes -----------

# operation, target, source, offset, operand, label to jump to; or a label
_Instruction = tuple[int, int, int, int, int, str]
_Line = _Instruction | str


def _program4(ports: Sequence[int]) -> bytes:
    return _assemble([(_LOAD_WORD, 2, 1, _IP4, 0, ""), *_judge4(), *_endings(ports)])


def _program6(ports: Sequence[int]) -> bytes:
    lines: list[_Line] = [(_LOAD_WORD, 5 + word, 1, _IP6 + 4 * word, 0, "") for word in range(4)]
    for number, address in enumerate(_METADATA6):
        for word, value in enumerate(struct.unpack("=4I", socket.inet_pton(socket.AF_INET6, address))):
            lines.append((_IF_OTHER, 5 + word, 0, 0, value, f"not {number}"))
        lines += [(_JUMP, 0, 0, 0, 0, "no"), f"not {number}"]
    lines += [(_IF_OTHER, 5, 0, 0, 0, "yes"), (_IF_OTHER, 6, 0, 0, 0, "yes")]
    lines += [(_IF_EQUAL, 7, 0, 0, _MAPPED, "mapped"), (_IF_OTHER, 7, 0, 0, 0, "yes")]
    lines += [(_IF_EQUAL, 8, 0, 0, _LOOPBACK6, "here"), (_IF_EQUAL, 8, 0, 0, 0, "here")]
    lines += [(_JUMP, 0, 0, 0, 0, "yes"), "mapped", (_COPY, 2, 8, 0, 0, ""), *_judge4()]
    return _assemble([*lines, *_endings(ports)])


def _judge4() -> Iterator[_Line]:
    for address in _METADATA4:
        yield _IF_EQUAL, 2, 0, 0, struct.unpack("=I", socket.inet_aton(address))[0], "no"
    yield _COPY, 3, 2, 0, 0, ""
    yield _MASK, 3, 0, 0, 0xFFFF, ""
    yield _IF_EQUAL, 3, 0, 0, _LINK_LOCAL, "no"
    yield _MASK, 3, 0, 0, 0xFF, ""
    yield _IF_EQUAL, 3, 0, 0, 127, "here"
    yield _IF_EQUAL, 3, 0, 0, 0, "here"
    yield _JUMP, 0, 0, 0, 0, "yes"


def _endings(ports: Sequence[int]) -> Iterator[_Line]:
    yield "here"
    yield _LOAD_WORD, 4, 1, _PORT, 0, ""
    for port in ports:
        yield _IF_EQUAL, 4, 0, 0, socket.htons(port), "no"
    for label, answer in (("yes", 1), ("no", 0)):
        yield label
        yield _SET, 0, 0, 0, answer, ""
        yield _EXIT, 0, 0, 0, 0, ""


def _assemble(lines: Sequence[_Line]) -> bytes:
    """Return the lines as struct bpf_insn, with labels turned into distances."""
    places: dict[str, int] = {}
    instructions: list[_Instruction] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(instructions)
        else:
            instructions.append(line)
    code = b""
    for place, (operation, target, source, offset, operand, label) in enumerate(instructions):
        distance = places[label] - place - 1 if label else offset
        code += struct.pack("=BBhI", operation, target | source << 4, distance, operand)
    return code
