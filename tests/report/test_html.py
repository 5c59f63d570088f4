"""The page: self-contained, safe against its data, and usable by everyone."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import polars as pl
import pytest

from polylore.errors import DataError
from polylore.report import (
    Chart,
    FactList,
    Finding,
    Page,
    Prose,
    Report,
    TableView,
    render,
    write_html,
)
from polylore.report.embed import json_text, source_text
from polylore.studies.trace.pages import build_report

EVIL = "</script><img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open = (tag, dict(attrs))

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((*self._open, data))

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def elements(evil_page: str) -> Elements:
    return Elements(evil_page)


def test_nothing_is_loaded_from_anywhere(elements: Elements) -> None:
    for tag, attributes in elements.found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "audio"}
        for name, value in attributes.items():
            assert name not in {"src", "srcset", "action", "style", "data"}, (tag, name)
            assert not name.startswith("on"), (tag, name)
            if name == "href":
                assert value is not None
                assert value.startswith("#")


def test_policy_admits_exactly_the_pages_own_code(elements: Elements) -> None:
    policy = next(a["content"] for a in elements.all("meta") if "http-equiv" in a)
    assert policy is not None
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        texts = [t for name, a, t in elements.texts if name == tag and "type" not in a]
        wanted = {
            f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'"
            for t in texts
        }
        assert wanted == set(rules[rule].split(" "))
    assert len([t for name, a, t in elements.texts if name == "script" and "type" not in a]) == 2


def test_data_never_becomes_markup(evil_page: str, elements: Elements) -> None:
    assert EVIL not in evil_page
    assert "<img" not in re.sub(r"<script>.*?</script>", "", evil_page, flags=re.DOTALL)
    data = [t for name, a, t in elements.texts if name == "script" and "type" in a]
    assert data
    for text in data:
        json.loads(text)
        assert not set("<>&\u2028\u2029") & set(text)
    # It is still there, as data.
    subjects = [json.loads(t)["facts"][0]["s"] for t in data if '"facts":[{' in t]
    assert subjects
    assert EVIL in subjects[0]


@pytest.mark.parametrize(
    "text", [EVIL, "<!--<script>", "a\u2028b\u2029c", "&lt;", 'quote " \\ end']
)
def test_embedded_json_keeps_its_value(text: str) -> None:
    embedded = json_text({"key": text})
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded) == {"key": text}


def test_own_code_that_would_end_its_element_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be placed"):
        source_text("let x = '</SCRIPT>'", "script")


def test_titles_and_findings_are_escaped() -> None:
    report = Report(
        title=EVIL,
        subtitle=EVIL,
        glance=((EVIL, EVIL),),
        findings=(Finding(EVIL, "undecided", EVIL),),
        pages=(Page("p", EVIL, EVIL, (Prose((EVIL,)),)),),
        provenance={EVIL: EVIL},
    )
    page = render(report)
    assert EVIL not in page
    assert page.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;") >= 11
    # Without charts there is no need for Vega.
    assert len(page) < 60_000


def test_every_chart_speaks(evil_report: Report, elements: Elements) -> None:
    charts = list(evil_report.charts())
    assert len(charts) >= 12
    plots = [a for a in elements.all("div") if a.get("class") == "plot"]
    assert len(plots) == len(charts)
    for chart, plot in zip(charts, plots, strict=True):
        assert plot["role"] == "img"
        assert plot["aria-label"]
        assert len(chart.description) > 40
        for word in ("Preset default", "matcher", "exposure exact", "pivot English", "n = "):
            assert word in chart.caption, chart.id
        assert chart.labels, f"{chart.id} has no table"


def test_charts_draw_only_what_their_frame_holds(evil_report: Report) -> None:
    for chart in evil_report.charts():
        used = set(re.findall(r'"field": "([^"]+)"', json.dumps(chart.spec)))
        assert used <= set(chart.frame.columns), chart.id
        assert set(chart.labels) <= set(chart.frame.columns), chart.id
        text = json.dumps(chart.spec)
        assert '"url"' not in text
        # Colours belong to the theme, so that charts can be light and dark.
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b", text), chart.id
        assert text.count('"data"') == 1, chart.id


def test_page_has_landmarks_and_ordered_headings(elements: Elements) -> None:
    tags = [tag for tag, _ in elements.found]
    assert tags.count("main") == tags.count("nav") == tags.count("h1") == 1
    assert elements.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels))
    ids = [a["id"] for _, a in elements.found if "id" in a]
    assert len(ids) == len(set(ids))
    for link in elements.all("a"):
        assert str(link["href"])[1:] in ids
    for section in elements.all("section"):
        assert section["aria-labelledby"] in ids
    first = next(a for tag, a in elements.found if tag == "a")
    assert first["href"] == "#main"


def test_languages_carry_tag_and_direction(elements: Elements) -> None:
    shared = next(t for name, a, t in elements.texts if a.get("id") == "shared")
    found = json.loads(shared)["languages"]
    assert found["ar"] == {"tag": "ar", "name": "Arabic", "dir": "rtl"}
    assert found["zh"]["dir"] == "ltr"


def test_same_report_gives_the_same_page(evil_report: Report, evil_page: str) -> None:
    assert render(evil_report) == evil_page


def test_page_is_written_whole(evil_report: Report, evil_page: str, tmp_path) -> None:
    path = write_html(evil_report, tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == evil_page
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size < 3_000_000


def block(page: str, id_: str) -> dict:
    """The data of one block of a page."""
    start = page.index('class="data">', page.index(f'id="{id_}"')) + len('class="data">')
    return json.loads(page[start : page.index("</script>", start)])


def one_table(frame: pl.DataFrame, **options: object) -> dict:
    view = TableView("t", "T", "", frame, **options)
    report = Report("r", "", (), (), (Page("p", "P", "", (view,)),), {})
    return block(render(report), "t")


def test_tables_keep_values_and_say_when_they_are_cut() -> None:
    frame = pl.DataFrame({"n": range(6000), "x": [float("inf"), float("nan"), None] * 2000})
    data = one_table(frame, sort=("n", True))
    assert (data["rows"], data["all_rows"]) == (5000, 6000)
    assert data["values"]["n"][0] == 5999
    assert data["values"]["x"][:3] == [None, None, "∞"]
    assert [c["format"] for c in data["columns"]] == ["int", "number"]


def test_tables_leave_out_empty_columns_and_refuse_unknown_ones() -> None:
    frame = pl.DataFrame({"lang": ["en"], "reason": [None]}, schema_overrides={"reason": pl.String})
    assert [c["name"] for c in one_table(frame)["columns"]] == ["lang"]
    with pytest.raises(DataError, match="has no column absent"):
        one_table(frame, labels={"lang": "L", "absent": "A"})


def test_histories_are_compact_and_exact(evil_page: str, evil_run) -> None:
    data = block(evil_page, "fact-list")
    grades = evil_run.table("grades").filter(
        (pl.col("matcher") == "default") & (pl.col("variant") == 0)
    )
    checkpoints = evil_run.table("checkpoints")["ckpt_id"].to_list()
    exposure = evil_run.table("exposure")
    assert data["checkpoints"] == ["0", "41k", "410k", "4.1M"]
    for fact in data["facts"]:
        for i, lang in enumerate(data["languages"]):
            mine = grades.filter((pl.col("fact_id") == fact["id"]) & (pl.col("lang") == lang))
            right = dict(mine.select("ckpt_id", "y").iter_rows())
            assert fact["h"][i] == "".join("1" if right[c] else "0" for c in checkpoints)
            read = exposure.filter((pl.col("fact_id") == fact["id"]) & (pl.col("lang") == lang))
            steps = [int(s or 0) for s in fact["e"][i].split(",")]
            assert sum(steps) == read["count"].sum()
    assert any(e == "," * 3 for f in data["facts"] for e in f["e"]), "no never-read fact"
    answers = evil_run.table("answers").filter(pl.col("variant") == 0)
    said = {
        (f, lang): text for f, lang, text in answers.select("fact_id", "lang", "raw_text").rows()
    }
    second = data["facts"][1]
    assert second["a"] == [
        said[second["id"], lang].split("\n")[0].strip() for lang in data["languages"]
    ]


def test_long_histories_are_thinned(small, synthetic, tmp_path) -> None:
    steps = tuple(range(0, 400, 10))
    spec = small(
        steps=steps, facts=2, relations=("a",), languages=("en", "fr"), matchers=("default",)
    )
    report = build_report(synthetic.write_run(tmp_path / "run", spec))
    data = block(render(report), "fact-list")
    assert data["all_checkpoints"] == 40
    assert len(data["checkpoints"]) == len(data["facts"][0]["h"][0]) == 24
    assert (data["checkpoints"][0], data["checkpoints"][-1]) == ("0", "1.6M")


def test_block_types_are_all_shown(evil_report: Report) -> None:
    kinds = {type(b) for page in evil_report.pages for b in page.blocks}
    assert {Chart, TableView, FactList} <= kinds
