"""No new privileges, no core dumps, first to go: raised, and not to be lowered again."""

from __future__ import annotations

from .children import run


def test_they_stand_and_stay() -> None:
    status, core, higher, oom = run("""
import resource
basics.forbid_new_privileges(); basics.forbid_core_dumps(); basics.volunteer_for_oom()
os.setresuid(65534, 65534, 65534) if os.getuid() == 0 else None
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1)); higher = True
except ValueError:
    higher = False
result = [open('/proc/self/status').read(), resource.getrlimit(resource.RLIMIT_CORE), higher,
          open('/proc/self/oom_score_adj').read().strip()]
""")
    assert "NoNewPrivs:\t1\n" in status
    assert core == [0, 0]
    assert not higher
    assert oom == "1000"
