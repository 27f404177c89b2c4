"""Attempts to break through each wall: code for a task, which returns what it got, or nothing.

Each tries what one wall alone forbids, so it tells of that wall even if the others would stop it too.
"""

from __future__ import annotations

__all__ = ["MEMORY_PROBE", "PROBES"]

_CALL = """\
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    result = getattr(libc, name)(*arguments)
    return result, ctypes.get_errno()
"""

PROBES = {
    "no-new-privileges": _CALL + "return '' if call('prctl', 39, 0, 0, 0, 0)[0] == 1 else 'sudo would work'",
    "no-core-dumps": """\
import resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
except (ValueError, OSError):
    return ''
return 'a crash can write a file of memory'""",
    "first-out-of-memory": """\
score = open('/proc/self/oom_score_adj').read().strip()
return '' if score == '1000' else 'its out-of-memory score is ' + score""",
    "private-memory": """\
try:
    open('/proc/self/mem', 'rb').close()
except OSError:
    return ''
return 'the memory of a process can be opened'""",
    "user": """\
import os
if os.getuid() == 0:
    return 'it runs as root'
try:
    os.setuid(0)
except OSError:
    return ''
return 'it has become root'""",
    "capabilities": """\
for line in open('/proc/self/status'):
    if line.startswith('CapEff:') and int(line.split()[1], 16):
        return 'it has the special rights ' + line.split()[1]
return ''""",
    "user-namespace": """\
import os
here = os.readlink('/proc/self/ns/user')
return 'it is in the user namespace of the runner' if here == {namespaces}['user'] else ''""",
    "mount-namespace": """\
import os
return 'it finds ' + {marker!r} if os.path.lexists({marker!r}) else ''""",
    "pid-namespace": """\
import os
try:
    os.kill({pid}, 0)
except ProcessLookupError:
    return ''
except PermissionError:
    pass
return 'it finds the process of the runner'""",
    "ipc-namespace": """\
import os
here = os.readlink('/proc/self/ns/ipc')
return 'it shares memory segments with this machine' if here == {namespaces}['ipc'] else ''""",
    "network-namespace": """\
import os
here = os.readlink('/proc/self/ns/net')
return 'it has the network of this machine' if here == {namespaces}['net'] else ''""",
    "landlock": """\
import os
try:
    os.listdir('/')
except PermissionError:
    return ''
return 'it can list the root directory'""",
    "seccomp": _CALL
    + """\
number = {{'x86_64': 135}}.get(platform.machine(), 92)
result, error = call('syscall', number, 0xffffffff)
return 'system calls are not filtered' if result >= 0 or error != 1 else ''""",
    "limits": """\
import resource
names = {limits!r}
free = [name for name in names
        if resource.getrlimit(getattr(resource, name))[1] == resource.RLIM_INFINITY]
return 'no limit: ' + ', '.join(free) if free else ''""",
}
"""For each wall that can be tested from inside, the code. It returns what it got, nothing if empty.

To be formatted with ``marker`` (a path that only the runner sees), ``pid`` (the runner's process id),
``namespaces`` (the runner's own, by kind) and ``limits`` (names of resource limits that are to be set).
"""

MEMORY_PROBE = """\
import os, time
reader, writer = os.pipe()
for _ in range({processes}):
    if os.fork() == 0:
        try:
            data = bytearray({size})
            data[::4096] = b'x' * len(range(0, len(data), 4096))
            os.write(writer, b'x')
            time.sleep(60)
        finally:
            os._exit(0)
os.close(writer)
held = 0
while held < {processes} and os.read(reader, 1):
    held += 1
return 'its processes took {processes} times {size} bytes' if held == {processes} else 'no more than some'
"""
"""Takes more memory than a task may with several processes, and must not come to an end.

To be formatted with ``processes`` (how many) and ``size`` (bytes that each takes).
"""
