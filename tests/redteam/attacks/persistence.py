"""Leaving something for the next task, or outliving its own."""

from __future__ import annotations

from ..attack import Family

PERSISTENCE = Family("persistence")
OUTLIVING = Family("outliving")

PERSISTENCE.add(
    "modules and builtins",
    """
    import builtins, json, re
    builtins.print = builtins.len = lambda *_: "mine"
    builtins.planted = json.planted = sys.planted = "planted"
    json.dumps = json.loads = lambda *_: "mine"
    sys.modules["planted"] = json
    sys.path.insert(0, os.getcwd())
    with open("sitecustomize.py", "w") as file:
        file.write("planted = 1")
    """,
    ends="completed|worker-died: Task subprocess exited with code 1",
    sequel="""
    import builtins, json
    for name, where in (("builtins", builtins), ("json", json), ("sys", sys)):
        if hasattr(where, "planted"):
            got.append("planted in " + name)
    if "planted" in sys.modules or json.dumps([1]) != "[1]" or len([1]) != 1:
        got.append("a changed module")
    """,
)
PERSISTENCE.add(
    "files in the scratch directory and in temporary places",
    """
    for place in (".", "/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        try: open(os.path.join(place, "planted"), "w").close()
        except OSError as error: stopped.append(str(error))
    """,
    sequel="""
    for place in (".", "/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        path = os.path.join(place, "planted")
        if os.path.exists(path):
            got.append(path)
            try: os.unlink(path)
            except OSError: pass
    """,
    walls=("mount-namespace", "landlock"),
)
PERSISTENCE.add(
    "environment, directory, umask and priority",
    """
    os.environ["PLANTED"] = "1"
    os.putenv("PLANTED", "1")
    os.umask(0)
    os.chdir("/")
    os.nice(5)
    sys.setrecursionlimit(50000)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    """,
    sequel="""
    umask = os.umask(0o77)
    if "PLANTED" in os.environ or os.getenv("PLANTED") or umask == 0 or os.getcwd() == "/" or os.nice(0):
        got.append("%s %o %s %d" % (dict(os.environ), umask, os.getcwd(), os.nice(0)))
    if signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()) or sys.getrecursionlimit() > 5000:
        got.append("a signal mask or a recursion limit")
    """,
)
PERSISTENCE.add(
    "System V and POSIX objects",
    """
    for call in (
        lambda: libc("shmget", 0x7265, ctypes.c_size_t(4096), 0o1666),
        lambda: libc("semget", 0x7265, 1, 0o1666),
        lambda: libc("msgget", 0x7265, 0o1666),
        lambda: os.close(os.open("/dev/shm/planted", os.O_CREAT | os.O_RDWR)),
        lambda: syscall("mq_open", b"planted", os.O_CREAT | os.O_RDWR, 0o666, None),
    ):
        try: call()
        except OSError as error: stopped.append(str(error))
    """,
    sequel="""
    shm = attempt("shm", libc, "shmget", 0x7265, ctypes.c_size_t(4096), 0)
    sem = attempt("sem", libc, "semget", 0x7265, 1, 0)
    msg = attempt("msg", libc, "msgget", 0x7265, 0)
    attempt("posix", os.stat, "/dev/shm/planted")
    attempt("mqueue", syscall, "mq_open", b"planted", os.O_RDWR, 0, None)
    library = ctypes.CDLL(None)
    if shm is not None: library.shmctl(shm, 0, None)
    if sem is not None: library.semctl(sem, 0, 0)
    if msg is not None: library.msgctl(msg, 0, None)
    for clear in (lambda: os.unlink("/dev/shm/planted"), lambda: syscall("mq_unlink", b"planted")):
        try: clear()
        except OSError: pass
    """,
    walls=("ipc-namespace", "seccomp"),
)
PERSISTENCE.add(
    "byte code of a module that others import",
    """
    import importlib.util
    attempt("overwrite", lambda: open(importlib.util.cache_from_source(os.__file__), "r+b").close())
    path = os.path.join(os.path.dirname(os.__file__), S["mark"] + ".pth")
    attempt("beside", lambda: open(path, "w").close())
    try: os.unlink(path)
    except OSError: pass
    """,
    walls=("landlock", "mount-namespace", "user"),
)
PERSISTENCE.add(
    "locks on shared files",
    """
    import fcntl
    for path in (os.__file__, sys.executable, "/etc/passwd", "/dev/null"):
        try: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error: stopped.append(str(error))
    """,
    sequel="""
    import fcntl
    for path in (os.__file__, sys.executable):
        try: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError: got.append("still locked: " + path)
        except OSError: pass
    """,
)
PERSISTENCE.add(
    "exit handlers, threads and finalisers",
    """
    import atexit
    atexit.register(lambda: open(S["loot"], "w").close())
    def linger():
        time.sleep(0.2)
        open(S["loot"] + "-thread", "w").close()
    threading.Thread(target=linger).start()
    class Finaliser:
        def __del__(self):
            open(S["loot"] + "-finaliser", "w").close()
    globals()["kept"] = Finaliser()
    """,
    sequel="time.sleep(0.3)",
    walls=(),
)
PERSISTENCE.add(
    "approval of other code",
    """
    for descriptor in range(3, 20):
        try: os.write(descriptor, b"\\x03" + (64).to_bytes(8, "big") + b"0" * 64)
        except OSError: pass
    """,
    ends="result: Task broke the connection|completed",
)

_DAEMON = """\
import ctypes, os, signal, sys, time
S = _items[0]["json"]
ctypes.CDLL(None).prctl(15, S["mark"].encode(), 0, 0, 0)
reader, writer = os.pipe()
def daemon():
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    os.write(writer, b"x")
    while True:
        time.sleep(1000)
daemon()
os.read(reader, 1)
print("ready")
"""
_ENDS = {
    "completes": ("return {'got': []}", "completed", "limit"),
    "fails": ("1 / 0", "user-code: division by zero", "limit"),
    "ends itself": ("os._exit(3)", "worker-died: Task subprocess exited with code 3", "limit"),
    "crashes": ("ctypes.string_at(0)", "worker-died: Task subprocess exited with code -11", "limit"),
    "is cancelled": ("time.sleep(1000)", "stopped", "ready"),
    "loses its executor": ("time.sleep(1000)", "worker-died: |stopped", "close"),
    "loses its runner": ("time.sleep(1000)", "runner killed", "kill"),
}
for _end, (_last, _ending, _finish) in _ENDS.items():
    OUTLIVING.bare(f"a daemon whose task {_end}", f"{_DAEMON}{_last}", ends=_ending, finish=_finish)
OUTLIVING.bare("a daemon at the time limit", f"{_DAEMON}time.sleep(1000)", ends="stopped", limit=0.5)
OUTLIVING.bare(
    "a stopped child",
    _DAEMON.replace("while True:", "os.kill(os.getpid(), signal.SIGSTOP)\n    while True:")
    + "return {'got': []}",
    ends="completed",
)
OUTLIVING.bare(
    "children that keep forking themselves",
    _DAEMON.replace(
        "    while True:\n        time.sleep(1000)",
        "    end = time.monotonic() + 30\n    while time.monotonic() < end:\n"
        "        if os.fork():\n            os._exit(0)\n        time.sleep(0.001)\n    os._exit(0)",
    )
    + "return {'got': []}",
    ends="completed",
)
OUTLIVING.bare(
    "a program started in the background",
    """
    import subprocess, sys
    S = _items[0]["json"]
    words = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1000)", S["mark"]]
    subprocess.Popen(words, start_new_session=True)
    return {"got": []}
    """,
    ends="completed|user-code",
)
OUTLIVING.bare(
    "a daemon that keeps the connection",
    _DAEMON + "os.closerange(4, 100)\nos._exit(0)",
    ends="worker-died: Task subprocess exited with code 0",
)
