"""Using up memory, processor, processes, disk and descriptors. Every bomb has a bound, for the case that it
goes off: past it, the attacker has got more than a task may have."""

from __future__ import annotations

from ..attack import Family

MEMORY = Family("memory", "limits", "cgroup")
CPU = Family("cpu", "limits")
BOMBS = Family("process bombs", "limits", "cgroup")
DISK = Family("disk", "limits", "mount-namespace")
DESCRIPTORS = Family("descriptors", "limits")

_OUT_OF_MEMORY = r"completed|user-code: MemoryError|worker-died: .*(memory|SIGKILL)"

MEMORY.bare(
    "one large object",
    "data = bytes(1600000000)\nreturn {'got': ['%d bytes' % len(data)]}",
    ends=r"user-code: MemoryError.*memory",
)
MEMORY.bare(
    "a list without end",
    """
    kept = []
    for _ in range(1600):
        kept.append("x" * 1000000)
    return {"got": ["%d bytes" % sum(map(len, kept))]}
    """,
    ends=r"user-code: MemoryError",
)
MEMORY.bare(
    "a string that doubles",
    "text = 'x' * 1000\nwhile len(text) < 1700000000: text += text\nreturn {'got': [len(text)]}",
    ends="user-code: MemoryError",
)
MEMORY.bare("a huge product", "return {'got': [len([0] * 10**9)]}", ends="user-code: MemoryError")
MEMORY.add(
    "anonymous and shared mappings",
    """
    import mmap
    kept = []
    def fill(count):
        for _ in range(count):
            kept.append(mmap.mmap(-1, 50000000))
            kept[-1][::4096] = b"x" * len(range(0, 50000000, 4096))
        return len(kept)
    attempt("map", fill, 32)
    """,
    ends=_OUT_OF_MEMORY,
)
MEMORY.add(
    "memory of many processes",
    """
    reader, writer = os.pipe()
    def hold():
        try:
            data = bytearray(220000000)
            data[::4096] = b"x" * len(range(0, len(data), 4096))
            os.write(writer, b"x")
            time.sleep(1000)
        finally:
            os._exit(0)
    try:
        for _ in range(8):
            os.fork() or hold()
    except OSError:
        pass
    os.close(writer)
    os.set_blocking(reader, False)
    deadline, held = time.monotonic() + 15, 0
    while time.monotonic() < deadline and held < 8:
        try: data = os.read(reader, 8)
        except BlockingIOError: time.sleep(0.01)
        else:
            held += len(data)
            if not data: break
    if held == 8:
        got.append("1.7 GB in 8 processes")
    """,
    ends=_OUT_OF_MEMORY,
    walls=("cgroup",),
)
MEMORY.add(
    "memory files",
    """
    def fill():
        for _ in range(4):
            descriptor = os.memfd_create("x")
            for _ in range(300):
                os.write(descriptor, bytes(1000000))
        return os.fstat(descriptor).st_size
    attempt("memfd", fill)
    """,
    ends=_OUT_OF_MEMORY,
    walls=("limits", "cgroup", "seccomp"),
)
MEMORY.add(
    "System V shared memory",
    """
    def fill():
        library = ctypes.CDLL(None, use_errno=True)
        library.shmat.restype = ctypes.c_void_p
        for _ in range(8):
            segment = libc("shmget", 0, ctypes.c_size_t(200000000), 0o1600)
            address = library.shmat(segment, None, 0)
            libc("shmctl", segment, 0, None)
            if address in (None, 2**64 - 1):
                raise OSError(ctypes.get_errno(), "shmat")
            ctypes.memset(address, 1, 200000000)
        return "1.6 GB"
    attempt("shm", fill)
    """,
    ends=_OUT_OF_MEMORY,
)
MEMORY.bare(
    "recursion without end",
    "def f(): return f()\nf()",
    ends="user-code: maximum recursion depth exceeded",
    walls=(),
)
MEMORY.bare(
    "recursion without limit",
    "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()",
    ends=r"user-code: |worker-died: |stopped",
    limit=1.0,
    walls=(),
)
MEMORY.bare(
    "a huge integer",
    "return {'got': [len(str(10**10**8))]}",
    ends=r"user-code: Exceeds the limit|user-code: MemoryError|stopped|worker-died",
    limit=0.7,
    walls=(),
)

_CPU_UP = r"worker-died: .*(CPU|processor)"
_SHORT = {"setting": "short", "limit": 60.0}

CPU.bare("an endless loop", "while True: pass", ends=_CPU_UP, **_SHORT)
CPU.bare("a catastrophic pattern", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", ends=_CPU_UP, **_SHORT)
CPU.bare("a huge power", "x = 3 ** 3 ** 20 % 7 ** 3 ** 14\nreturn {'got': ['done']}", ends=_CPU_UP, **_SHORT)
CPU.bare(
    "an endless loop that catches everything",
    """
    import signal
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while True:
        try:
            while True: pass
        except BaseException:
            pass
    """,
    ends=_CPU_UP + "|worker-died: Process was forcefully killed",
    **_SHORT,
)
CPU.bare(
    "an endless comparison",
    "x = y = 1\nfor _ in range(40): x, y = [x, x], [y, y]\nreturn x == y",
    ends=_CPU_UP,
    **_SHORT,
)
CPU.bare("sleep for ever", "import time\ntime.sleep(10**6)", ends="stopped", limit=0.5, walls=())
CPU.add(
    "lift its limits",
    """
    import resource
    for name in ("CPU", "AS", "NOFILE", "NPROC", "FSIZE", "CORE"):
        kind = getattr(resource, "RLIMIT_" + name)
        soft, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            attempt(name, resource.setrlimit, kind, (hard + 1, hard + 1))
    """,
    walls=(),
)
CPU.add(
    "burn all processors at once",
    """
    for _ in range(4):
        if os.fork() == 0:
            while True: pass
    time.sleep(0.3)
    """,
    walls=(),
)

BOMBS.add(
    "a fork bomb",
    """
    def bomb():
        for made in range(300):
            if os.fork() == 0:
                time.sleep(1000)
        return made
    attempt("300 processes", bomb)
    """,
    ends=r"completed|worker-died: .*process",
)
BOMBS.add(
    "a fork bomb of generations",
    """
    reader, writer = os.pipe()
    def generation(depth):
        for _ in range(3):
            try:
                child = os.fork()
            except OSError:
                return
            if child == 0:
                os.write(writer, b"x")
                if depth: generation(depth - 1)
                time.sleep(1000)
    generation(4)
    os.set_blocking(reader, False)
    made, quiet = 0, 0
    while made < 200 and quiet < 50:
        try: made, quiet = made + len(os.read(reader, 1000)), 0
        except BlockingIOError: quiet += time.sleep(0.01) or 1
    if made >= 200:
        got.append("%d processes" % made)
    """,
    ends=r"completed|worker-died: .*process",
)
BOMBS.add(
    "a thread bomb",
    """
    def bomb():
        threading.stack_size(65536)
        for _ in range(300):
            threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        return threading.active_count()
    attempt("300 threads", bomb)
    """,
)
BOMBS.bare(
    "a fork bomb that executes itself",
    """
    import os, sys
    S = _items[0]["json"]
    bomb = "import os, time\\nfor _ in range(300):\\n  os.fork() or os.execv(%r, [%r, '-S', '-c', 'import time; time.sleep(1000)', %r])"
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-S", "-c", bomb % (sys.executable, sys.executable, S["mark"])])
    os.waitpid(-1, 0)
    return {"got": []}
    """,
    ends=r"completed|user-code|worker-died|stopped",
    limit=5.0,
    walls=(),
)

DISK.add(
    "fill the scratch directory with one file",
    """
    def fill():
        with open("large", "wb", 0) as file:
            for _ in range(120):
                if file.write(bytes(1000000)) < 1000000:
                    raise OSError(27, "a short write")
        return os.stat("large").st_size
    attempt("120 MB", fill)
    """,
    ends="completed|worker-died",
)
DISK.add(
    "many files that are small enough each",
    """
    def fill():
        for number in range(24):
            with open("file-%d" % number, "wb", 0) as file:
                for _ in range(5):
                    if file.write(bytes(1000000)) < 1000000:
                        raise OSError(28, "a short write")
        return "120 MB"
    attempt("fill", fill)
    """,
    walls=("mount-namespace",),
)
DISK.add(
    "a sparse file",
    """
    def stretch():
        with open("sparse", "wb") as file:
            file.truncate(10**12)
        return os.stat("sparse").st_size
    attempt("truncate", stretch)
    attempt("allocate", lambda: os.posix_fallocate(os.open("alloc", os.O_CREAT | os.O_RDWR), 0, 120000000))
    """,
    ends="completed|worker-died",
)
DISK.add(
    "many thousand files",
    """
    def litter():
        for number in range(30000):
            os.close(os.open("f%d" % number, os.O_CREAT | os.O_WRONLY))
        return "30000 files"
    attempt("litter", litter)
    """,
    walls=("mount-namespace",),
)
DISK.add(
    "a directory without end",
    """
    for _ in range(2000):
        try:
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
        except OSError as error:
            stopped.append(str(error)[:100])
            break
    """,
    walls=(),
)
DISK.add(
    "fill other places",
    """
    def fill(path):
        with open(path, "wb", 0) as file:
            for _ in range(70):
                if file.write(bytes(1000000)) < 1000000:
                    raise OSError(28, "a short write")
        return "70 MB"
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/"):
        path = os.path.join(place, S["mark"] + "-fill")
        attempt(place, fill, path)
        try: os.unlink(path)
        except OSError: pass
    """,
    walls=("landlock", "mount-namespace", "limits"),
)
DISK.add(
    "what cannot be removed",
    """
    os.makedirs("a/b/c")
    open("a/b/c/file", "w").close()
    os.chmod("a/b/c", 0)
    os.chmod("a", 0)
    os.symlink("loop", "loop")
    os.chmod(".", 0)
    """,
    walls=(),
    ends="completed|user-code: ",
)

DESCRIPTORS.add(
    "open files without end",
    """
    def exhaust():
        return len([os.open("/dev/null", os.O_RDONLY) for _ in range(900)])
    attempt("900 files", exhaust)
    """,
)
DESCRIPTORS.add(
    "pipes and sockets without end",
    """
    def exhaust():
        return len([socket.socketpair() for _ in range(450)])
    attempt("900 sockets", exhaust)
    """,
)
DESCRIPTORS.add(
    "hide descriptors in flight",
    """
    def exhaust():
        import array
        sent = 0
        here, there = socket.socketpair()
        here.setblocking(False)
        for _ in range(20):
            here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1] * 200))])
            sent += 200
        return sent
    attempt("4000 in flight", exhaust)
    """,
    walls=("limits", "capabilities"),
)
DESCRIPTORS.bare(
    "close everything",
    "import os\nos.closerange(0, 1000)\nreturn 1",
    ends=r"worker-died: |stopped",
    limit=3.0,
    walls=(),
)
DESCRIPTORS.bare(
    "replace every descriptor by its own pipe",
    """
    import os
    reader, writer = os.pipe()
    for number in range(64):
        if number not in (reader, writer):
            try: os.dup2(writer, number)
            except OSError: pass
    return 1
    """,
    ends=r"worker-died: |stopped|completed|result: ",
    limit=2.0,
    walls=(),
)
DESCRIPTORS.add(
    "watch every file there is",
    """
    try:
        descriptor = libc("inotify_init1", 0)
        for number in range(2000):
            os.close(os.open("w%d" % number, os.O_CREAT))
            libc("inotify_add_watch", descriptor, b"w%d" % number, 2)
    except OSError as error:
        stopped.append(str(error))
    """,
    walls=(),
)
