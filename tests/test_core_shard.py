"""Who takes and lets go of which shards, so that all own the same number."""

from hypothesis import given
from hypothesis import strategies as st

from wxrc_core.shard import share

MEMBERS = [f"m{number}" for number in range(6)]

pictures = st.tuples(
    st.lists(st.sampled_from([*MEMBERS, "", "dead"]), min_size=1, max_size=40),
    st.lists(st.sampled_from(MEMBERS), min_size=1, unique=True),
)


@given(picture=pictures)
def test_members_with_one_picture_need_not_talk(picture: tuple[list[str], list[str]]) -> None:
    """They never want the same shard, and together they want all that are free."""
    owners, members = dict(enumerate(picture[0])), picture[1]
    taken = [number for name in members for number in share(owners, members, name).take]

    assert sorted(number for number, owner in owners.items() if owner not in members) == sorted(taken)


@given(picture=pictures)
def test_it_comes_to_rest_with_equal_parts(picture: tuple[list[str], list[str]]) -> None:
    """When each does what it is told, all end up with the same number of shards, but for one; no shard moves twice."""
    owners, members = dict(enumerate(picture[0])), picture[1]
    moved = []
    for _ in range(2 * len(owners) + 2):
        for name in members:
            found = share(owners, members, name)
            moved += found.take
            owners |= dict.fromkeys(found.take, name)
            owners |= dict.fromkeys([number for number, owner in owners.items() if owner == name][: found.give], "")
    counts = [sum(owner == name for owner in owners.values()) for name in members]

    assert max(counts) - min(counts) <= 1
    assert "" not in owners.values()
    assert len(set(moved)) == len(moved)


def test_as_few_move_as_can_be() -> None:
    """Who owns most keeps the odd ones."""
    owners = dict.fromkeys(range(5), "b")

    assert (2, 0) == (share(owners, ["a", "b"], "b").give, share(owners, ["a", "b"], "a").give)
