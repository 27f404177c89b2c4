"""Grant tokens and the comparison of secrets."""

from __future__ import annotations

from trio_runner.broker.tokens import GrantTokens, same_token


def minted(grants: GrantTokens, now: float) -> str:
    token = grants.mint(now)
    assert token is not None
    return token


def test_a_token_is_good_once() -> None:
    grants = GrantTokens(ttl=15, most=10)
    token = minted(grants, 0.0)
    assert grants.spend(token, 1.0)
    assert not grants.spend(token, 1.0)
    assert len(grants) == 0


def test_a_token_is_good_until_its_time_and_not_at_it() -> None:
    grants = GrantTokens(ttl=15, most=10)
    early, late = minted(grants, 0.0), minted(grants, 0.0)
    assert grants.spend(early, 14.999)
    assert not grants.spend(late, 15.0)
    assert len(grants) == 0


def test_what_was_never_minted_is_refused() -> None:
    grants = GrantTokens(ttl=15, most=10)
    minted(grants, 0.0)
    assert not any(grants.spend(token, 0.0) for token in ["", "made-up", "\ud83d", "ü" * 10_000])


def test_tokens_are_long_and_differ() -> None:
    grants = GrantTokens(ttl=15, most=1000)
    tokens = {minted(grants, 0.0) for _ in range(200)}
    assert len(tokens) == 200
    assert min(map(len, tokens)) >= 43


def test_tokens_are_not_kept_as_they_are() -> None:
    grants = GrantTokens(ttl=15, most=10)
    token = minted(grants, 0.0)
    assert token not in repr(vars(grants))


def test_their_number_is_bounded_until_some_expire_or_are_used() -> None:
    grants = GrantTokens(ttl=15, most=2)
    first, _ = minted(grants, 0.0), minted(grants, 5.0)
    assert grants.mint(6.0) is None
    assert grants.room_in(6.0) == 9.0
    grants.spend(first, 6.0)
    assert grants.room_in(6.0) == 0.0
    minted(grants, 6.0)
    assert grants.mint(19.9) is None
    minted(grants, 20.0)


def test_comparing_secrets() -> None:
    assert same_token("secret", "secret")
    assert same_token("gehäim", "gehäim")
    assert not any(same_token("secret", other) for other in ["", "Secret", "secret ", "secre", "\udcff"])
