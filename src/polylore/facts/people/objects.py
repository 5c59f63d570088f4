"""Relations and objects of fictional people: objects take turns, so that none is likelier.

People who have a relation take its objects one after the other, in blocks that hold every object
once. Every block has an order of its own: with one order for all, people a block apart would be
alike in several relations at once. People who may be injected are counted from number 0 on, and
controls from the first of them, so that no object is rarer among either (specification of `inject`,
section 3.4).
"""

from collections import Counter

from polylore.facts.people.names import drawn
from polylore.facts.people.pack import Pack


def relations_of(pack: Pack, seed: int, number: int) -> list[str]:
    """All relations in the order in which a person takes them; the first few are theirs."""
    return sorted(pack.relations, key=lambda relation: drawn(seed, "relation", number, relation))


def concepts_of(
    pack: Pack, seed: int, used: int, numbers: range, n_control: int
) -> dict[int, dict[str, str]]:
    """What people have: their number -> relation -> concept of the object.

    How often a relation has each of its objects differs by at most one within the controls, and
    within the others if they begin at number 0; if they begin elsewhere, and so perhaps in the
    middle of a block, by at most two.

    Args:
        pack: holds relations and objects.
        seed: decides the orders.
        used: relations of every person, that of the companion included.
        numbers: the people.
        n_control: how many of them, the last ones, are controls.
    """
    first_control = numbers.stop - n_control
    turns: Counter[tuple[str, str]] = Counter()
    found: dict[int, dict[str, str]] = {number: {} for number in numbers}
    for number in range(numbers.stop):
        role = "object" if number < first_control else "object of a control"
        for relation in relations_of(pack, seed, number)[:used]:
            turn = turns[role, relation]
            turns[role, relation] += 1
            if number in found:
                found[number][relation] = _concept(pack, seed, role, relation, turn)
    return found


def _concept(pack: Pack, seed: int, role: str, relation: str, turn: int) -> str:
    objects = pack.relations[relation].objects
    block, place = divmod(turn, len(objects))
    return sorted(objects, key=lambda c: drawn(seed, role, relation, block, c))[place]
