"""Killing, stopping and disturbing processes, its own included."""

from __future__ import annotations

from ..attack import Evidence, Family

PROCESSES = Family("processes", "pid-namespace", "landlock", "user")
SIGNALS = Family("signals", "pid-namespace", "landlock", "user")

_TARGETS = 'targets = sorted({os.getppid(), S["runner"], S["zygote"], S["victim"]} - {0, os.getpid(), 1})\n'

for _name in ("runner", "zygote", "victim"):
    PROCESSES.add(
        f"kill the {_name}", f'attempt("kill", os.kill, S["{_name}"], signal.SIGKILL)\ntime.sleep(0.05)'
    )
PROCESSES.add(
    "kill its parent",
    'if os.getppid() > 1: attempt("kill", os.kill, os.getppid(), signal.SIGKILL)\ntime.sleep(0.05)',
)
PROCESSES.bare(
    "kill everybody",
    """
    import os, signal
    os.kill(-1, signal.SIGKILL)
    return {"got": []}
    """,
    ends=r"completed|worker-died: Process was forcefully killed|user-code: ",
    walls=("pid-namespace", "landlock"),
)
PROCESSES.add(
    "kill every number there is",
    """
    for pid in (*range(2, 400), *range(4990, 5600)):
        if pid != os.getpid():
            try: os.kill(pid, signal.SIGKILL)
            except OSError: pass
    time.sleep(0.05)
    """,
)
PROCESSES.add(
    "kill by process group",
    _TARGETS
    + """
for pid in targets:
    attempt("group of %d" % pid, os.killpg, pid, signal.SIGKILL)
time.sleep(0.05)
""",
)
PROCESSES.add(
    "kill by pidfd",
    _TARGETS
    + """
for pid in targets:
    attempt("pidfd of %d" % pid, lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL))
time.sleep(0.05)
""",
)
PROCESSES.add(
    "see who else is there",
    """
    mine = {os.getpid(), 1}
    others = [name for name in os.listdir("/proc") if name.isdecimal() and int(name) not in mine]
    if others:
        got.append("processes: %s" % others[:20])
    """,
    walls=("pid-namespace",),
    ends=r"completed|user-code: \[Errno 13\]",
)
PROCESSES.add(
    "slow the others down",
    _TARGETS
    + """
import resource
for pid in targets:
    attempt("nice %d" % pid, os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt("bind %d" % pid, os.sched_setaffinity, pid, {0})
    attempt("limit %d" % pid, resource.prlimit, pid, resource.RLIMIT_CPU, (10000, 10000))
""",
    walls=("pid-namespace", "user"),
)
PROCESSES.add(
    "take priority over others",
    """
    attempt("real time", os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(10))
    attempt("negative nice", os.nice, -10)
    attempt("never out of memory", lambda: open("/proc/self/oom_score_adj", "w").write("-1000"))
    """,
    walls=("capabilities", "user-namespace", "user"),
)
PROCESSES.add(
    "take root back",
    """
    attempt("hostname", lambda: libc("sethostname", b"mine", 4))
    attempt("time", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
    attempt("reboot", lambda: syscall("reboot", 0xfee1dead, 672274793, 0x89abcdef, 0))
    attempt("quota", lambda: libc("acct", b"/dev/null"))
    """,
    walls=("capabilities", "seccomp", "user"),
)
PROCESSES.add(
    "load code into the kernel",
    """
    attempt("module", syscall, "init_module", b"x", 1, b"")
    attempt("kexec", syscall, "kexec_load", 0, 0, None, 0)
    attempt("bpf", syscall, "bpf", 0, ctypes.create_string_buffer(128), 128)
    attempt("userfaultfd", syscall, "userfaultfd", 1)
    attempt("io_uring", syscall, "io_uring_setup", 4, ctypes.create_string_buffer(120))
    attempt("perf", syscall, "perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0)
    attempt("fanotify", libc, "fanotify_init", 0, 0)
    attempt("swap", libc, "swapon", b"/nowhere", 0)
    got += ["reached the kernel: " + each for each in stopped if not each.endswith((" 1", " 38", " 13"))]
    """,
    walls=("seccomp",),
)


def _died_alone(evidence: Evidence) -> list[str]:
    return [] if evidence.result is None else ["returned after killing its own group"]


PROCESSES.bare(
    "kill its own group",
    "import os, signal\nos.killpg(0, signal.SIGKILL)\nsignal.pause()",
    ends=r"worker-died: Process was forcefully killed \(SIGKILL\)|stopped",
    limit=1.0,
    gain=_died_alone,
    walls=(),
)

SIGNALS.add(
    "stop its parent",
    'if os.getppid() > 1: attempt("stop", os.kill, os.getppid(), signal.SIGSTOP)\ntime.sleep(0.05)',
)
SIGNALS.add(
    "stop the runner and the zygote",
    """
    attempt("runner", os.kill, S["runner"], signal.SIGSTOP)
    attempt("zygote", os.kill, S["zygote"], signal.SIGSTOP)
    time.sleep(0.05)
    attempt("continue", os.kill, S["zygote"], signal.SIGCONT)
    """,
)
SIGNALS.add(
    "send everybody signals that it survives itself",
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGWINCH):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
        try: os.kill(-1, number)
        except OSError as error: stopped.append(str(error))
    time.sleep(0.05)
    """,
    walls=("pid-namespace", "landlock"),
)
SIGNALS.add(
    "queue signals until the user's limit is used up",
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    info = ctypes.create_string_buffer(128)
    ctypes.cast(info, ctypes.POINTER(ctypes.c_int))[2] = -1
    for _ in range(20000):
        try: syscall("rt_sigqueueinfo", os.getpid(), int(signal.SIGRTMIN), info)
        except OSError: break
    """,
    walls=(),
)
SIGNALS.bare(
    "ignore every signal for ever",
    """
    import signal, time
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True: time.sleep(1000)
    """,
    ends="stopped",
    limit=0.5,
    walls=(),
)
SIGNALS.bare(
    "a timer that interrupts the reply",
    """
    import os, signal
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    return "x" * 100000
    """,
    ends=r"completed|user-code: KeyboardInterrupt",
    walls=(),
)
SIGNALS.bare(
    "stop itself",
    "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nreturn 1",
    ends="stopped|completed",
    limit=0.5,
    walls=(),
)
SIGNALS.bare(
    "end itself with SIGTERM",
    "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()",
    ends=r"worker-died: Task subprocess exited with code -15|stopped",
    limit=0.5,
    walls=(),
)
SIGNALS.bare(
    "crash",
    "import ctypes\nctypes.string_at(0)",
    ends=r"worker-died: Task subprocess exited with code -11",
    walls=(),
)
