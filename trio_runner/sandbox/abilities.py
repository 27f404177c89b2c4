"""What the modules that a policy allows are for: the network, the start of programs."""

from __future__ import annotations

from .policy import Policy, is_standard_library

__all__ = ["starts_programs", "uses_network"]

# Modules of Python itself that open connections, or load what may: others get at sockets only through them.
_NETWORKED = frozenset(
    "_asyncio _ctypes _socket _ssl asynchat asyncio asyncore ctypes ftplib http"
    " imaplib imp importlib multiprocessing nntplib poplib pty runpy smtpd smtplib socket"
    " socketserver ssl subprocess telnetlib urllib wsgiref xmlrpc".split()
)
# Modules of Python itself that start programs, or load what may.
_STARTING = frozenset(
    "_ctypes _posixsubprocess asyncio concurrent ctypes imp importlib multiprocessing os posix pty runpy"
    " subprocess".split()
)
# Packages that compute. Some can fetch what is named by a URL, which is not what they are installed for.
_OFFLINE = frozenset(
    "Crypto PIL PyPDF2 annotated_types arrow attr attrs babel bs4 cattrs chardet charset_normalizer"
    " cryptography cv2 dateutil deepdiff defusedxml docx et_xmlfile fuzzywuzzy html5lib humanize"
    " idna jinja2 jmespath joblib jose jsonpath_ng jsonschema jwt lxml markdown matplotlib"
    " more_itertools msgpack msgspec multidict networkx nltk numexpr numpy openpyxl orjson pandas"
    " parsel passlib pendulum phonenumbers polars pyarrow pydantic pydantic_core pypdf pytz"
    " rapidfuzz regex reportlab scipy shapely simplejson six skimage sklearn slugify statsmodels"
    " sympy tabulate toml tomli tomlkit typing_extensions tzdata ujson unidecode xlrd xlsxwriter"
    " xlwt xmltodict yaml zstandard".split()
)


def uses_network(policy: Policy) -> bool:
    """Whether code that runs by this policy can import something whose use is the network."""
    if "*" in policy.stdlib_allow or "*" in policy.external_allow:
        return True
    if policy.stdlib_allow & _NETWORKED:
        return True
    return any(not is_standard_library(name) and name not in _OFFLINE for name in policy.external_allow)


def starts_programs(policy: Policy) -> bool:
    """Whether code that runs by this policy can import something that starts programs."""
    return "*" in policy.stdlib_allow | policy.external_allow or bool(policy.stdlib_allow & _STARTING)
