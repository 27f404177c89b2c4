"""Reaching anything over a socket."""

from __future__ import annotations

from ..attack import Family

NETWORK = Family("network", "network-namespace")

NETWORK.add(
    "connect to a service of the machine",
    """
    attempt("IPv4", lambda: socket.create_connection(("127.0.0.1", S["tcp"]), 1).recv(100))
    attempt("IPv6", lambda: socket.create_connection(("::1", S["tcp6"]), 1).recv(100))
    attempt("any", lambda: socket.create_connection(("0.0.0.0", S["tcp"]), 1).recv(100))
    """,
    walls=("network-namespace", "landlock"),
)
NETWORK.add(
    "send datagrams",
    """
    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            return sender.sendto(b"hello", ("127.0.0.1", S["udp"]))
    attempt("UDP", send)
    time.sleep(0.02)
    """,
)
NETWORK.add(
    "ask for cloud credentials",
    'attempt("metadata", lambda: socket.create_connection((S["metadata"], 80), 1).recv(100))',
    walls=("network-namespace", "landlock"),
)
NETWORK.add(
    "connect to an abstract socket",
    """
    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\\0" + S["abstract"])
            return client.recv(100)
    attempt("abstract", connect)
    """,
    walls=("network-namespace", "landlock"),
)
NETWORK.add(
    "connect to a socket in the file system",
    """
    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(S["unix"])
            return client.recv(100)
    attempt("unix", connect)
    """,
    walls=("mount-namespace",),
)
NETWORK.add(
    "raw and packet sockets",
    """
    attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
    """,
    walls=("seccomp", "capabilities", "user"),
)
NETWORK.add(
    "configure the network",
    """
    def bring_up():
        import fcntl, struct
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1))
            return "loopback is up"
    attempt("interface", bring_up)
    """,
    walls=("seccomp", "capabilities", "user"),
)
NETWORK.add(
    "exotic protocols",
    """
    for name, kind, type_, protocol in (
        ("vsock", 40, 1, 0), ("bluetooth", 31, 3, 1), ("alg", 38, 5, 0), ("tipc", 30, 1, 0), ("rds", 21, 5, 0),
        ("can", 29, 3, 1), ("sctp", 2, 1, 132), ("packet", 17, 3, 0), ("netlink", 16, 3, 12),
    ):
        attempt(name, lambda: socket.socket(kind, type_, protocol))
    """,
    walls=("seccomp",),
)
NETWORK.add("resolve a name", 'attempt("resolve", lambda: socket.getaddrinfo("example.com", 80))', walls=())
NETWORK.add(
    "list the machine's sockets",
    """
    for name in ("unix", "tcp", "tcp6", "udp"):
        try:
            lines = open("/proc/net/" + name).read()
        except OSError:
            continue
        if S["abstract"] in lines or "%04X" % S["tcp"] in lines or "%04X" % S["tcp6"] in lines:
            got.append("saw them in " + name)
    """,
)
_REACH = """
    attempt("runner's loopback", lambda: socket.create_connection(("127.0.0.1", S["tcp"]), 1).recv(100))
    attempt("other loopback", lambda: socket.create_connection(("127.9.9.9", S["tcp"]), 1).recv(100))
    attempt("IPv6", lambda: socket.create_connection(("::1", S["tcp6"]), 1).recv(100))
    attempt("any address", lambda: socket.create_connection(("0.0.0.0", S["tcp"]), 1).recv(100))
    attempt("mapped", lambda: socket.create_connection(("::ffff:127.0.0.1", S["tcp"]), 1).recv(100))
    def send(address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            return sender.sendto(b"hello", address)
    attempt("datagram", send, ("127.0.0.1", S["udp"]))
    time.sleep(0.02)
    """
NETWORK.add(
    "the runner's own ports while the network is open",
    _REACH,
    setting="network",
    walls=("addresses",),
)
NETWORK.add(
    "cloud credentials while the network is open",
    'attempt("metadata", lambda: socket.create_connection((S["metadata"], 80), 1).recv(100))',
    setting="network",
    walls=("addresses",),
)
NETWORK.add(
    "an abstract socket while the network is open",
    """
    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\\0" + S["abstract"])
            return client.recv(100)
    attempt("abstract", connect)
    """,
    setting="network",
    walls=("landlock",),
)
