"""What follows from walls that are missing."""

from __future__ import annotations

import pytest

from trio_runner.errors import SandboxError
from trio_runner.executor.strictness import check_walls, describe_missing, worth_telling
from trio_runner.sandbox.config import TRUSTED_NEEDS, WALLS, SandboxConfig

NO_NAMESPACES = [
    ("mount-namespace", "unshare: Operation not permitted"),
    ("pid-namespace", "unshare: Operation not permitted"),
    ("cgroup", "not delegated"),
]


@pytest.mark.parametrize("strictness", ["best-effort", "off"])
def test_what_is_not_required_may_be_missing(strictness: str) -> None:
    check_walls(SandboxConfig(strictness=strictness), (), NO_NAMESPACES)


def test_required_walls_are_named_in_one_line_with_the_remedy() -> None:
    with pytest.raises(SandboxError) as caught:
        check_walls(SandboxConfig(strictness="required"), (), NO_NAMESPACES)
    text = str(caught.value)
    why = "mount-namespace, pid-namespace (unshare: Operation not permitted)"
    assert text.startswith(f"sandbox required: this machine lacks {why};")
    assert "permit user namespaces" in text
    assert text.endswith("or use --sandbox best-effort")
    assert "\n" not in text
    assert "cgroup" not in text  # optional


def test_required_is_content_with_the_optional_ones_missing() -> None:
    check_walls(SandboxConfig(strictness="required"), (), [("cgroup", "not delegated"), ("addresses", "x")])


@pytest.mark.parametrize("down", TRUSTED_NEEDS)
def test_trusted_is_refused_without_what_it_relies_on(down: str) -> None:
    standing = [name for name in WALLS if name != down]
    with pytest.raises(
        SandboxError, match=f"profile trusted: .* {down} cannot be relied on \\(switched off\\)"
    ):
        check_walls(SandboxConfig(profile="trusted"), standing, [])
    check_walls(SandboxConfig(profile="trusted"), list(WALLS), [])


def test_what_is_told() -> None:
    told = worth_telling(NO_NAMESPACES)
    assert [name for name, _ in told] == ["mount-namespace", "pid-namespace"]
    text = describe_missing([*told, ("landlock", "landlock_create_ruleset: Function not implemented")])
    assert "this machine lacks 3 of the walls" in text
    assert WALLS["pid-namespace"] in text
    assert "landlock: landlock_create_ruleset: Function not implemented" in text
    assert "\n" not in text
