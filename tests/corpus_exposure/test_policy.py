"""The counting policy on hand-made texts (specification of trace, T13, 2.3 and 4.4)."""

import random
import unicodedata

import polars as pl
import pytest
from exposure_worlds import document, facts, table
from naive_count import naive_counts

pytest.importorskip("daachorse", reason="the extra `corpus` is not installed")
pytest.importorskip("stringzilla", reason="the extra `corpus` is not installed")

from polylore.corpus.documents.batch import Batch, batches, in_parts, safe_cut
from polylore.corpus.exposure import Counter, CountingPolicy, Patterns
from polylore.corpus.exposure.merge import merge_exposure
from polylore.corpus.expressed import POLICY
from polylore.errors import DataError
from polylore.tables import raw

PAPER = {"overlap": True}
APART = "Paris " + "word " * 1200 + "France"


def count(text: str, subject: str, gold: str, aliases: tuple[str, ...] = (), **rule: object) -> int:
    policy = CountingPolicy.parse(dict(rule))
    counter = Counter(Patterns.of(table([("1", "en", subject, (gold, *aliases))]), policy), policy)
    counter.add(Batch(text.encode(), 1, 0))
    return int(counter.exposure("t")["count"].sum())


@pytest.mark.parametrize(
    ("text", "subject", "gold", "default", "paper"),
    [
        ("Paris is in France. France loves Paris.", "Paris", "France", 1, 1),
        ("Parisian cafés of France", "Paris", "France", 0, 0),
        ("paris, FRANCE", "Paris", "France", 1, 1),
        ("Philip V of Spain ruled.", "Philip V of Spain", "Spain", 0, 1),
        ("Dubai.", "Dubai", "Dubai", 0, 1),
        ("Dubai Dubai.", "Dubai", "Dubai", 1, 1),
        (APART, "Paris", "France", 1, 1),
        ("Toyota的总部在日本。", "Toyota", "日本", 1, 1),
        ("Toyotas in 日本", "Toyota", "日本", 0, 0),
        ("東京タワーは日本にある", "東京", "日本", 1, 1),
        ("ＦＲＡＮＣＥ and Straße", "france", "STRASSE", 1, 1),
        ("İstanbul, TÜRKIYE", "İstanbul", "Türkiye", 1, 1),
        ("İSTANBUL, TÜRKİYE", "İstanbul", "Türkiye", 0, 0),  # İ folds to i and a dot, i to i
        ("Québec in Cana\u0301da", "Que\u0301bec", "Canáda", 1, 1),
    ],
)
def test_hand_made(text: str, subject: str, gold: str, default: int, paper: int) -> None:
    assert count(text, subject, gold) == default
    assert count(text, subject, gold, **PAPER) == paper


def test_options() -> None:
    assert count("Parisian cafés of France", "Paris", "France", boundaries="never") == 1
    assert count("paris, FRANCE", "Paris", "France", casefold=False) == 0
    assert count(APART, "Paris", "France", unit="window:1000") == 0
    assert count(APART, "Paris", "France", unit="window:1202") == 1
    assert count(APART, "Paris", "France", unit="window:1201") == 0
    assert count("Paris. France. Paris, France!", "Paris", "France", unit="sentence") == 1
    assert count("St. Louis lies in Missouri.", "St. Louis", "Missouri", unit="sentence") == 1
    assert count("m², x", "m2", "x") == 1
    assert count("m², x", "m2", "x", normalisation="nfc") == 0
    assert count("the UK and London", "London", "United Kingdom", ("UK", "Britain")) == 1
    assert count("東京タワー、日本", "東京", "日本", boundaries="always") == 0


def test_names_of_policies() -> None:
    # The ledger of composed corpora counts by the same policy, so its name is the same.
    assert CountingPolicy().policy_id == POLICY
    ids = {
        CountingPolicy(normalisation=n, casefold=c, boundaries=b, overlap=o).policy_id
        for n in ("nfkc", "nfc", "none")
        for c in (True, False)
        for b in ("script", "always", "never")
        for o in (True, False)
    }
    assert len(ids) == 36


def test_empty_names_are_refused() -> None:
    with pytest.raises(DataError, match="empty name in 'en'"):
        count("x", "Paris", " ")
    with pytest.raises(DataError, match="empty name"):
        count("x", "Paris", "France", ("\u00a0",))
    with pytest.raises(DataError, match="empty name"):
        count("x", "Paris", "\u200b\u2060")


def test_folding_equals_the_standard_library() -> None:
    rng = random.Random(7)
    assigned = [
        chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")
    ]
    marks = [c for c in assigned if unicodedata.combining(c)]
    policies = [
        (CountingPolicy(normalisation=n, casefold=c), n, c)
        for n in ("nfkc", "nfc", "none")
        for c in (True, False)
    ]
    for start in range(0, len(assigned), 5000):
        texts = ["\0".join(assigned[start : start + 5000])]
        texts += ["".join(rng.choice(rng.choice((assigned, marks, "aé한"))) for _ in range(60))]
        for text in texts:
            for policy, form, casefold in policies:
                expected = text if form == "none" else unicodedata.normalize(form.upper(), text)
                expected = expected.casefold() if casefold else expected
                assert policy.fold(text.encode()).decode() == expected


@pytest.mark.parametrize("unit", ["document", "sentence", "window:4"])
def test_parts_of_long_documents(unit: str) -> None:
    """Cut anywhere it may be cut, a document counts as it does whole."""
    for number in range(60):
        rng = random.Random(number)
        rows = facts(rng)
        names = [name for _, _, subject, objects in rows for name in (subject, *objects)]
        text = "".join(document(rng, names) for _ in range(3))
        policy = CountingPolicy(unit=unit, overlap=rng.random() < 0.3)
        patterns = Patterns.of(table(rows), policy)
        results = []
        for size in (10_000, rng.randrange(8, 80)):
            counter = Counter(patterns, policy)
            for batch in in_parts(Batch(text.encode(), 1, 0, None, ["en"]), size=size):
                counter.add(batch)
            assert counter.documents == 1
            results.append(counter.exposure("t"))
        assert results[0].equals(results[1]), number
        naive = naive_counts([(text, "en", (None,))], rows, policy)
        assert sum(naive.values()) == sum(
            results[0].select("count", "n_subj", "n_obj").sum().row(0)
        )


def test_safe_cuts() -> None:
    rng = random.Random(3)
    pool = "ab éé한각\u1100\u1161\u11a8\u0301\u0327が\u304b\u3099ｶﾞ\u0928\u093cשׁ\u05c1"
    for _ in range(400):
        text = "".join(rng.choice(pool) for _ in range(30))
        data = text.encode()
        cut = safe_cut(data, rng.randrange(1, len(data) + 1))
        if cut:
            halves = (
                unicodedata.normalize("NFKC", part.decode()) for part in (data[:cut], data[cut:])
            )
            assert "".join(halves) == unicodedata.normalize("NFKC", text)


def scattered(
    parts: list[tuple[str, tuple[int, ...]]], policy: CountingPolicy
) -> list[tuple[int, int, int, int]]:
    patterns = Patterns.of(table([("1", "en", "Paris", ("France",))]), policy)
    counter = Counter(patterns, policy)
    for place, (text, steps) in enumerate(parts):
        last = place == len(parts) - 1
        counter.add(
            Batch(
                text.encode(), 1, 0, steps=[steps],
                continues=place > 0, unfinished=not last, scattered=True,
            )
        )  # fmt: skip
    frame = counter.exposure("t")
    return frame.select("step_lo", "count", "n_subj", "n_obj").rows()


def test_the_part_that_completes_the_pair_counts() -> None:
    document, sequence = CountingPolicy(), CountingPolicy(unit="sequence")
    parts = [("Paris is", (7,)), (" nice. ", (3,)), ("France", (5,))]
    assert scattered(parts, document) == [(5, 0, 0, 1), (7, 1, 1, 0)]
    assert scattered(parts, sequence) == [(5, 0, 0, 1), (7, 0, 1, 0)]
    # Read twice: once in each epoch, unless a part is missing in the second.
    twice = [("Paris ", (1, 9)), ("France", (2, 8))]
    assert scattered(twice, document) == [
        (1, 0, 1, 0), (2, 1, 0, 1), (8, 0, 0, 1), (9, 1, 1, 0)
    ]  # fmt: skip
    assert scattered([("Paris ", (1, 9)), ("France", (2,))], document)[-1] == (9, 0, 1, 0)
    # A name over two parts was read with the later one; one whose end was never read, never.
    assert scattered([("France Par", (4,)), ("is", (6,))], document) == [
        (4, 0, 0, 1), (6, 1, 1, 0)
    ]  # fmt: skip
    assert scattered([("France Par", (4,)), ("is", ())], document) == [(4, 0, 0, 1)]
    # An earlier pair may stand later in the text.
    late = [("Paris France", (9,)), (" Paris France", (2,))]
    assert scattered(late, document) == [(2, 1, 1, 1)]


def test_steps_share_rows() -> None:
    policy = CountingPolicy()
    counter = Counter(
        Patterns.of(table([("1", "en", "Paris", ("France",))]), policy), policy, steps_per_row=10
    )
    steps = [(1,), (10,), (11, 25), ()]
    counter.add(Batch(b"\0".join([b"Paris France"] * 4), 4, 0, steps=steps))
    frame = counter.exposure("t")
    assert frame.select("step_lo", "step_hi", "count").rows() == [
        (1, 10, 2), (11, 20, 1), (21, 30, 1)
    ]  # fmt: skip
    assert frame["exposure_kind"].unique().to_list() == ["exact"]


def test_order_is_known_of_all_or_none() -> None:
    policy = CountingPolicy()
    counter = Counter(Patterns.of(table([("1", "en", "Paris", ("France",))]), policy), policy)
    counter.add(Batch(b"Paris", 1, 0))
    with pytest.raises(DataError, match="steps of all of them"):
        counter.add(Batch(b"Paris", 1, 1, steps=[(1,)]))


def sums(patterns: Patterns, groups: list[list[tuple]], order: list[int]) -> pl.DataFrame:
    """Count groups of documents apart and merge them in an order."""
    frames = []
    for place, group in enumerate(groups):
        counter = Counter(patterns, CountingPolicy())
        for batch in batches((t.encode(), None, lang, s[0]) for t, lang, s in group):
            counter.add(batch)
        frames.append(counter.exposure(f"shard {place}"))
    return merge_exposure((frames[i] for i in order), "all")


def test_any_sharding_gives_equal_sums_in_any_order() -> None:
    for number in range(8):
        rng = random.Random(number)
        rows = facts(rng)
        names = [name for _, _, subject, objects in rows for name in (subject, *objects)]
        documents = [
            (document(rng, names), rng.choice([None, "en", "zh"]), (rng.randrange(1, 9),))
            for _ in range(30)
        ]
        patterns = Patterns.of(table(rows), CountingPolicy())
        whole = sums(patterns, [documents], [0])
        for pieces in (2, 7, 20):
            shuffled = rng.sample(documents, len(documents))
            groups = [shuffled[i::pieces] for i in range(pieces)]
            order = rng.sample(range(pieces), pieces)
            assert sums(patterns, groups, order).equals(whole)


def test_merging_refuses_what_must_not_be_added() -> None:
    def frame(**change: object) -> pl.DataFrame:
        row = {
            "source": "a", "fact_id": "1", "lang": "en", "count": 2, "n_subj": 3, "n_obj": 4,
            "unit": "document", "exact": True, "exposure_kind": "total",
            "lang_conditioned": False, "policy_id": "p",
        }  # fmt: skip
        return raw.EXPOSURE.build([row | change])

    both = merge_exposure([frame(), frame(source="b", exact=False, n_subj=None)], "c")
    assert both.select("source", "count", "n_subj", "n_obj", "exact").row(0) == (
        "c", 4, None, 8, False
    )  # fmt: skip
    with pytest.raises(DataError, match="a is there twice"):
        merge_exposure([frame(), frame(fact_id="2")], "c")
    with pytest.raises(DataError, match="unit document and sentence must not be added"):
        merge_exposure([frame(), frame(source="b", unit="sentence")], "c")
    assert merge_exposure([], "c").is_empty()
