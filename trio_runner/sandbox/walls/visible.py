"""What of the machine's files a task sees: Python, the libraries, and little else, all of it read-only."""

from __future__ import annotations

import os
import sys
import sysconfig

__all__ = ["DEVICES", "readable_paths"]

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""Device files that may be used."""

_LIBRARIES = (
    "/lib /lib32 /lib64 /libx32 /usr/lib /usr/lib32 /usr/lib64 /usr/libx32 /usr/local/lib /usr/local/lib64"
    " /etc/ld.so.cache /etc/ld.so.conf /etc/ld.so.conf.d /nix/store"
).split()
_DATA = (
    "/etc/localtime /etc/timezone /etc/mime.types /etc/ssl/certs /etc/ssl/openssl.cnf /etc/ssl/cert.pem"
    " /etc/pki/tls/certs /etc/pki/ca-trust /etc/ca-certificates /etc/crypto-policies /etc/alternatives"
    " /etc/fonts /usr/share/zoneinfo /usr/share/ca-certificates /usr/share/fonts /usr/share/locale"
    " /usr/share/i18n /usr/share/mime /usr/share/fontconfig /usr/local/share/fonts"
    " /usr/local/share/ca-certificates"
).split()
_RESOLVER = (
    "/etc/resolv.conf /etc/hosts /etc/nsswitch.conf /etc/services /etc/protocols /etc/gai.conf /etc/host.conf"
).split()
_PROGRAMS = (
    "/bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/libexec /usr/share/terminfo /etc/terminfo".split()
)
# A Python that is installed here shares the directory with everything else there is.
_SHARED_PREFIXES = ("/", "/usr", "/usr/local")
# What belongs to an installation of its own; beside it there may lie other things.
_PARTS = "bin lib lib64 libexec share ssl pyvenv.cfg".split()


def readable_paths(*, network: bool, programs: bool) -> list[str]:
    """Return the absolute paths, of those that exist, that a task may read.

    Args:
        network: what finding addresses takes is among them.
        programs: directories of programs are among them.
    """
    wanted = [*_python(), *_LIBRARIES, *_DATA]
    wanted += [*(_RESOLVER if network else []), *(_PROGRAMS if programs else [])]
    found = dict.fromkeys(os.path.normpath(path) for path in wanted if path and os.path.lexists(path))
    return [path for path in found if path != "/" and path.startswith("/")]


def _python() -> list[str]:
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    paths = [
        os.path.join(prefix, part)
        for prefix in sorted(prefixes)
        if prefix not in _SHARED_PREFIXES
        for part in _PARTS
    ]
    own = sysconfig.get_paths()
    paths += [own[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [path for path in sys.path if path and path != _beside_package()]
    paths += [*_package(), *_interpreters()]
    return paths


def _package() -> list[str]:
    """Return what of this package runs in tasks: modules of it may be imported as late as there."""
    sandbox = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sandbox, os.path.join(os.path.dirname(sandbox), "__init__.py")]


def _beside_package() -> str:
    """Return the directory that holds this package, if it is a copy of the source; else empty."""
    directory = os.path.dirname(os.path.dirname(_package()[0]))
    return "" if directory in sysconfig.get_paths().values() else directory


def _interpreters() -> list[str]:
    """Return the interpreter's own files, which may lie in a directory that is not to be seen as a whole."""
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    directory = sysconfig.get_config_var("LIBDIR") or ""
    return [sys.executable, os.path.realpath(sys.executable), os.path.join(directory, library)]
