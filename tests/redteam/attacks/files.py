"""Reading and writing what is not the task's."""

from __future__ import annotations

from ..attack import Family

FILES = Family("files", "landlock", "mount-namespace")

FILES.add(
    "read the password file",
    'attempt("read", lambda: len(read("/etc/shadow")))',
    walls=("landlock", "mount-namespace", "user"),
)
FILES.add("read a token file of the runner's", 'attempt("read", read, S["private"])')
FILES.add("read a file that everybody may read", 'attempt("read", read, S["public"])')
FILES.add("list the home of root", 'attempt("list", lambda: len(os.listdir("/root")))')
FILES.add("list the runner's directories", 'attempt("list", os.listdir, os.path.dirname(S["public"]))')
FILES.add(
    "read the runner's source",
    """
    for name in ("pyproject.toml", "trio_runner/executor/pool.py", "trio_runner/runner/tokens.py", ".git/config"):
        attempt(name, read, os.path.join(S["source"], name))
    """,
)
FILES.add(
    "write into the runner's package",
    """
    import trio_runner.sandbox.worker as worker
    directory = os.path.dirname(worker.__file__)
    attempt("append", lambda: open(worker.__file__, "ab").close())
    attempt("create", lambda: open(os.path.join(directory, S["mark"]), "w").close())
    if os.path.exists(os.path.join(directory, S["mark"])):
        os.unlink(os.path.join(directory, S["mark"]))
    """,
    ends="completed|user-code: No module named",
)
FILES.add(
    "write into the standard library",
    """
    attempt("append", lambda: open(os.__file__, "ab").close())
    path = os.path.join(os.path.dirname(os.__file__), S["mark"])
    attempt("create", lambda: open(path, "w").close())
    if os.path.exists(path):
        os.unlink(path)
    """,
)
FILES.add("write beside the scratch directory", 'attempt("write", lambda: open(S["loot"], "w").close())')
FILES.add(
    "make a directory, a fifo and a device outside",
    """
    attempt("directory", os.mkdir, S["loot"] + "-directory")
    attempt("fifo", os.mkfifo, S["loot"] + "-fifo")
    attempt("device", os.mknod, S["loot"] + "-device", 0o600 | 0o020000, os.makedev(1, 3))
    """,
)
FILES.add(
    "make a device in the scratch directory",
    """
    attempt("memory", os.mknod, "memory", 0o600 | 0o020000, os.makedev(1, 1))
    attempt("disk", os.mknod, "disk", 0o600 | 0o060000, os.makedev(254, 0))
    """,
    walls=("seccomp", "landlock", "capabilities", "user-namespace", "user"),
)
FILES.add(
    "follow a symbolic link out of the scratch directory",
    """
    os.symlink(S["public"], "link")
    attempt("read", read, "link")
    os.symlink(os.path.dirname(S["public"]), "directory")
    attempt("list", os.listdir, "directory")
    attempt("write", lambda: open("directory/loot/" + S["mark"], "w").close())
    """,
)
FILES.add(
    "link a file into the scratch directory",
    """
    attempt("hard link", os.link, S["public"], "hard")
    if os.path.exists("hard"):
        attempt("read", read, "hard")
    attempt("rename", os.rename, S["public"], "moved")
    """,
)
FILES.add(
    "climb out with openat",
    """
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    up = "../" * 30
    attempt("read", lambda: os.read(os.open(up + S["public"], os.O_RDONLY, dir_fd=here), 100))
    attempt("write", lambda: os.open(up + S["loot"], os.O_CREAT | os.O_WRONLY, dir_fd=here))
    attempt("path", lambda: os.read(os.open("/proc/self/fd/%d/%s%s" % (here, up, S["public"]), os.O_RDONLY), 100))
    """,
)
FILES.add(
    "open by handle",
    """
    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
    handle, mount = Handle(bytes=128), ctypes.c_int()
    def steal():
        libc("name_to_handle_at", -100, S["public"].encode(), ctypes.byref(handle), ctypes.byref(mount), 0)
        return os.read(libc("open_by_handle_at", os.open(".", os.O_RDONLY), ctypes.byref(handle), 0), 100)
    attempt("open_by_handle_at", steal)
    """,
    walls=("landlock", "seccomp", "mount-namespace", "capabilities", "user-namespace", "user"),
)
FILES.add(
    "leave by chroot and fchdir",
    """
    root = os.open("/", os.O_RDONLY)
    os.mkdir("cage")
    attempt("chroot", os.chroot, "cage")
    def read_through():
        os.fchdir(root)
        return read("../../.." + S["public"])
    attempt("read", read_through)
    """,
    walls=("seccomp", "landlock", "capabilities", "user"),
    ends="completed|user-code: .*ermission",
)
FILES.add(
    "look through /proc at other roots",
    """
    for pid in sorted({1, os.getpid(), os.getppid(), S["runner"], S["zygote"], S["victim"]}):
        attempt("root of %d" % pid, lambda: read("/proc/%d/root%s" % (pid, S["public"])))
        if pid not in (1, os.getpid()):
            attempt("cwd of %d" % pid, lambda: os.readlink("/proc/%d/cwd" % pid))
    """,
)
FILES.add(
    "look into the kernel",
    """
    attempt("kcore", lambda: len(read("/proc/kcore")))
    attempt("memory", lambda: os.pread(os.open("/dev/mem", os.O_RDONLY), 16, 0))
    attempt("log", lambda: os.open("/dev/kmsg", os.O_RDONLY))
    attempt("keys", lambda: len(os.listdir("/sys/kernel")))
    """,
    walls=("landlock", "mount-namespace"),
)
FILES.add(
    "change the kernel's settings",
    """
    def change(path):
        with open(path) as file:
            now = file.read()
        with open(path, "w") as file:
            file.write(now)
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward",
                 "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sysrq-trigger"):
        attempt(path, lambda: os.close(os.open(path, os.O_WRONLY)) if "sysrq" in path else change(path))
    """,
    walls=("landlock", "mount-namespace", "user", "user-namespace"),
)
FILES.add(
    "write to a block device",
    """
    import stat
    for name in sorted(os.listdir("/dev") if os.path.isdir("/dev") else ()):
        path = "/dev/" + name
        try:
            found = stat.S_ISBLK(os.stat(path).st_mode)
        except OSError:
            continue
        if found:
            attempt(name, lambda: os.close(os.open(path, os.O_RDWR)))
    """,
    walls=("landlock", "mount-namespace", "user"),
    ends="completed|user-code: .*ermission",
)
FILES.add(
    "mount something",
    """
    os.mkdir("there")
    attempt("tmpfs", libc, "mount", b"none", b"there", b"tmpfs", 0, None)
    attempt("bind", libc, "mount", b"/", b"there", None, ctypes.c_ulong(4096 | 16384), None)
    attempt("read", lambda: read("there" + S["public"]))
    attempt("proc", libc, "mount", b"none", b"there", b"proc", 0, None)
    attempt("unmount", libc, "umount2", b"/tmp", 2)
    attempt("pivot_root", syscall, "pivot_root", b".", b"there")
    """,
    walls=("seccomp", "landlock", "capabilities", "user"),
)
FILES.add(
    "mount in a user namespace of its own",
    """
    os.mkdir("there")
    attempt("unshare", libc, "unshare", 0x10000000 | 0x00020000)
    attempt("mount", libc, "mount", b"none", b"there", b"tmpfs", 0, None)
    """,
    walls=("seccomp",),
)
FILES.add(
    "enter the namespaces of another process",
    """
    for pid in sorted({1, os.getppid(), S["runner"], S["zygote"], S["victim"]} - {os.getpid()}):
        for kind in ("mnt", "net", "pid", "user"):
            attempt("%s of %d" % (kind, pid), lambda: libc("setns", os.open("/proc/%d/ns/%s" % (pid, kind), os.O_RDONLY), 0))
    attempt("pidfd", lambda: libc("setns", os.pidfd_open(S["runner"]), 0x00020000))
    """,
    walls=("seccomp", "pid-namespace", "capabilities", "user"),
)
FILES.add(
    "change owner and mode of what it cannot open",
    """
    attempt("chmod", os.chmod, S["public"], 0o666)
    attempt("chown", os.chown, S["public"], 0, 0)
    attempt("truncate", os.truncate, S["public"], 0)
    attempt("times", os.utime, S["public"], (1, 1))
    attempt("attribute", os.setxattr, S["public"], "user.x", b"1")
    """,
    walls=("mount-namespace", "user"),
)
FILES.add(
    "become root by a set-user-id program",
    """
    import shutil
    def become_root():
        os.setuid(0)
        return len(read("/etc/shadow"))
    attempt("take root", become_root)
    shell = "shell"
    shutil.copy("/bin/sh" if os.path.exists("/bin/sh") else sys.executable, shell)
    os.chmod(shell, 0o4755)
    def run_it():
        import subprocess
        found = subprocess.run(["./shell", "-p", "-c", "id -u; cat " + S["private"]], capture_output=True, text=True)
        if "redteam" not in found.stdout:
            raise OSError(1, "nothing")
        return found.stdout
    attempt("run it", run_it)
    """,
    walls=("landlock", "mount-namespace"),
    ends="completed|user-code: ",
)
