"""Token quotas are exact to one document (`align`, 9.7.10)."""

import numpy as np
import pytest

from polylore.errors import DataError
from polylore.studies.align.arms.quota import Pool, by_quota


def pools(seed: int = 0) -> dict[str, Pool]:
    generator = np.random.default_rng(seed)
    spans = {"qaa": (3, 9), "qab": (20, 60), "qac": (1, 200)}
    return {
        lang: Pool(lang, generator.integers(low, high, size=37)) for lang, (low, high) in
        spans.items()
    }  # fmt: skip


def tokens_by_language(made: list[tuple[str, int]], own: dict[str, Pool]) -> dict[str, int]:
    found = dict.fromkeys(own, 0)
    for lang, one in made:
        found[lang] += int(own[lang].sizes[one])
    return found


@pytest.mark.parametrize("ratio", [(1, 1, 1), (3, 1, 2), (0.9, 0.05, 0.05)])
@pytest.mark.parametrize("asked", [{"documents": 400}, {"tokens": 9000}, {"documents": 5}])
def test_every_language_is_within_one_document_of_its_share(ratio, asked) -> None:
    for seed in range(5):
        own = pools(seed)
        shares = dict(zip(own, ratio, strict=True))
        made = by_quota(own, shares, seed, **asked)
        found = tokens_by_language(made, own)
        total = sum(found.values())
        if "documents" in asked:
            assert len(made) == asked["documents"]
        else:
            assert total >= asked["tokens"]
            assert total - asked["tokens"] < sum(int(pool.sizes.max()) for pool in own.values())
        for lang, value in found.items():
            share = shares[lang] / sum(ratio)
            assert abs(value - share * total) < max(int(p.sizes.max()) for p in own.values())


def test_documents_return_only_when_all_were_read() -> None:
    own = {"qaa": Pool("qaa", np.full(10, 4))}
    read = [one for _, one in by_quota(own, {"qaa": 1.0}, 3, documents=25)]
    counts = np.bincount(read, minlength=10)
    assert counts.min() == 2
    assert counts.max() == 3


def test_orders_follow_from_the_seed_and_languages_are_mixed() -> None:
    own = pools()
    ratio = {"qaa": 1.0, "qab": 1.0}
    first = by_quota(own, ratio, 1, tokens=4000)
    assert first == by_quota(own, ratio, 1, tokens=4000)
    assert first != by_quota(own, ratio, 2, tokens=4000)
    half = [lang for lang, _ in first[: len(first) // 2]]
    assert 0.3 < half.count("qab") / max(1, [x for x, _ in first].count("qab")) < 0.7


def test_a_language_without_text_is_refused() -> None:
    with pytest.raises(DataError, match="no text in qad"):
        by_quota(pools(), {"qaa": 1, "qad": 1}, 0, documents=3)
