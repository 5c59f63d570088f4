"""What a process keeps from batch to batch."""

import weakref

from polylore.runs import Latest


class Held:
    """Something that can be looked after."""


def test_it_is_made_once_and_let_go_before_the_next_is_made() -> None:
    kept: Latest[Held] = Latest()
    first = weakref.ref(kept.get("a", Held))
    assert kept.get("a", Held) is first()

    def second() -> Held:
        assert first() is None  # two never exist
        return Held()

    later = weakref.ref(kept.get("b", second))
    assert later() is kept.get("b", Held)
    kept.clear()
    assert later() is None
