"""Tokens in environments, in memory, in files and in descriptors of other processes."""

from __future__ import annotations

from ..attack import Family

SECRETS = Family("secrets", "pid-namespace", "private-memory", "landlock")

_EVERYBODY = 'everybody = sorted({1, os.getpid(), os.getppid(), S["runner"], S["zygote"], S["victim"]})\n'
_OTHERS = """\
others = sorted({1, os.getppid(), S["runner"], S["zygote"], S["victim"]} - {os.getpid(), 0})
"""
_READ_TOKENS = 'len(re.findall(rb"redteam-token-[0-9a-f]{16}", data))'

SECRETS.add(
    "read its own environment",
    """
    for path in ("/proc/self/environ", "/proc/thread-self/environ", "/proc/%d/environ" % os.getpid()):
        try:
            block = read(path)
        except OSError:
            continue
        if b"TOKEN" in block or b"redteam" in block:
            got.append("its own initial environment: %r" % block[:200])
    libc_environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    index = 0
    while libc_environ and libc_environ[index]:
        if b"TOKEN" in libc_environ[index]:
            got.append("in the C library: %r" % libc_environ[index])
        index += 1
    if S["variable"] in os.environ:
        got.append("in os.environ")
    """,
    walls=(),
)
SECRETS.add(
    "read the environments of others",
    _EVERYBODY
    + """
for pid in everybody:
    try:
        block = read("/proc/%d/environ" % pid)
        if b"TOKEN" in block or b"N8N" in block:
            got.append("environment of %d: %r" % (pid, block[:300]))
    except OSError as error:
        stopped.append(str(error))
""",
)
SECRETS.add(
    "read the command lines of others",
    """
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                line = read("/proc/%s/cmdline" % name)
            except OSError:
                continue
            if b"tests.redteam" in line or b"signal.pause" in line:
                got.append("%s: %r" % (name, line[:80]))
    """,
    walls=("pid-namespace",),
    ends=r"completed|user-code: \[Errno 13\]",
)
SECRETS.add(
    "search the memory of others",
    _OTHERS
    + f"""
import re
def search(pid):
    found = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            place, modes, *_ = line.split()
            start, end = (int(each, 16) for each in place.split("-"))
            if "r" in modes and end - start < 64000000:
                try:
                    memory.seek(start)
                    data = memory.read(end - start)
                except OSError:
                    continue
                found += {_READ_TOKENS}
    return found
for pid in others:
    attempt("memory of %d" % pid, search, pid)
""",
    walls=("pid-namespace", "private-memory"),
)
SECRETS.add(
    "search its own memory",
    f"""
    import re
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            place, modes, *rest = line.split()
            start, end = (int(each, 16) for each in place.split("-"))
            if "r" in modes and end - start < 64000000:
                try:
                    memory.seek(start)
                    data = memory.read(end - start)
                except OSError:
                    continue
                if {_READ_TOKENS}:
                    got.append("a token at %s in %s" % (place, rest[-1]))
    """,
    walls=(),
    ends=r"completed|user-code: .*(ermission|No such file)",
)
SECRETS.add(
    "read memory by system call",
    _OTHERS
    + """
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(64)
local, remote = Piece(ctypes.addressof(buffer), 64), Piece(id(None), 64)
for pid in others:
    attempt("from %d" % pid, libc, "process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    attempt("to %d" % pid, libc, "process_vm_writev", pid, ctypes.byref(local), 0, ctypes.byref(remote), 0, 0)
""",
    walls=("seccomp", "pid-namespace", "private-memory"),
)
SECRETS.add(
    "trace others",
    _OTHERS
    + """
for pid in others:
    attempt("seize %d" % pid, libc, "ptrace", 0x4206, pid, None, None)
    attempt("attach %d" % pid, libc, "ptrace", 16, pid, None, None)
    ctypes.CDLL(None).ptrace(17, pid, None, None)
""",
    walls=("seccomp", "pid-namespace", "private-memory"),
)
SECRETS.add(
    "let itself be traced by its child",
    """
    parent = os.getpid()
    reader, writer = os.pipe()
    ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
    child = os.fork()
    if child == 0:
        attached = ctypes.CDLL(None).ptrace(16, parent, None, None)
        ctypes.CDLL(None).ptrace(17, parent, None, None)
        os.write(writer, b"yes" if attached == 0 else b"no")
        os._exit(0)
    if os.read(reader, 3) == b"yes":
        got.append("traced a process")
    os.waitpid(child, 0)
    """,
    walls=("seccomp",),
)
SECRETS.add(
    "borrow descriptors of others",
    _OTHERS
    + """
for pid in others:
    for number in range(12):
        try:
            where = os.readlink("/proc/%d/fd/%d" % (pid, number))
            got.append("saw %d/%d: %s" % (pid, number, where))
            os.close(os.open("/proc/%d/fd/%d" % (pid, number), os.O_RDONLY))
            got.append("opened it")
        except OSError as error:
            stopped.append(str(error)[:60])
""",
    walls=("pid-namespace", "private-memory"),
)
SECRETS.add(
    "take descriptors by pidfd",
    _OTHERS
    + """
for pid in others:
    for number in range(8):
        attempt("%d of %d" % (number, pid), lambda: syscall("pidfd_getfd", os.pidfd_open(pid), number, 0))
""",
    walls=("seccomp", "pid-namespace", "private-memory"),
)
SECRETS.add(
    "leave a core to read",
    """
    import resource
    try: resource.setrlimit(resource.RLIMIT_CORE, (1000000, 1000000))
    except (OSError, ValueError): stopped.append("the limit stays")
    child = os.fork()
    if child == 0:
        os.abort()
    if os.WCOREDUMP(os.waitpid(child, 0)[1]):
        got.append("a core was written")
    """,
    walls=("no-core-dumps",),
)
SECRETS.add(
    "read kernel keyrings",
    """
    attempt("session", syscall, "keyctl", 0, -3, 1)
    attempt("add", syscall, "add_key", b"user", S["mark"].encode(), b"x", 1, -4)
    attempt("request", syscall, "request_key", b"user", b"x", None, -4)
    """,
    walls=("seccomp",),
)
SECRETS.add(
    "find the runner in its own descriptors",
    """
    known = {0, 1, 2, 3}
    for name in os.listdir("/proc/self/fd"):
        try:
            where = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue
        if int(name) not in known:
            got.append("%s: %s" % (name, where))
    """,
    walls=(),
)
SECRETS.add(
    "find the runner in its own modules",
    """
    import gc
    ours = ("trio", "trio_runner.runner", "trio_runner.executor", "trio_runner.service", "msgspec")
    got += [name for name in sys.modules if name in ours or name.startswith("trio.")]
    for thing in gc.get_objects():
        if isinstance(thing, dict) and S["variable"] in thing:
            got.append("a dict with the token's variable")
    """,
    walls=(),
)
