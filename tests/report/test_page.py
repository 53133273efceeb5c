"""The page of a run: what is on it, that nothing in a text can act on it, and how it behaves in a real browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from typer.testing import CliRunner

import datagen
from datagen import pipeline, run_page
from datagen.cli import app
from datagen.errors import BackendMissingError, InputError
from datagen.run_page import make_page
from datagen.runs import Run

WORDS = ("liver", "heart", "lung", "bone", "skin", "brain", "blood", "nerve")
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("page")
    texts = [f"{a} and {b} work {n}" for n, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]
    texts[0] = f"liver and liver {HOSTILE}"
    pairs = pl.DataFrame({"anchor": [f"how do {text}" for text in texts], "positive": texts})
    return datagen.mine(
        home / "run",
        pairs=pairs,
        cache=str(home / "cache"),
        teacher={"model": "datagen.testing:HashingTeacher"},
        denoise={"reranker": "datagen.testing:OverlapReranker"},
    )


@pytest.fixture(scope="module")
def page(run: Run) -> Path:
    return make_page(run.path)


def _unpack(page: Path) -> dict[str, Any]:  # Any: JSON
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    unpacked: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))  # Any: JSON
    return unpacked["runs"][0]  # type: ignore[no-any-return]


def _samples(page: Path) -> list[dict[str, Any]]:  # Any: JSON
    held = _unpack(page)
    return [
        {**query, "rows": [{**row, **held["documents"][row["document"]]} for row in query["rows"]]}
        for query in held["queries"]
    ]


def test_the_page_is_one_small_file_that_names_no_other(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.name == "report.html"
    assert len(text) < 5_000_000
    assert not re.search(
        r"""(src|href)\s*=\s*["'](?!#|data:)""", re.sub(r'id="data">.*?</script>', "", text, flags=re.DOTALL)
    )
    assert "default-src 'none'" in text


def test_every_section_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert [head for head in heads if head != "Leak against hardness"] == [
        "Flow", "Scores", "Hubs", "Diversity of the queries", "Cost", "Samples",
    ]  # fmt: skip
    assert text.count("<svg") >= 4


def test_samples_hold_the_texts_and_scores_of_the_ledger(run: Run, page: Path) -> None:
    ledger = {(row["query_id"], row["doc_id"]): row for row in run.candidates.to_dicts()}
    texts = dict(run.corpus.select("doc_id", "text").iter_rows())
    samples = _samples(page)
    assert len(samples) == 64
    for query in samples:
        rows = query["rows"]
        assert isinstance(rows, list)
        negatives = [row["doc_id"] for row in rows if row["outcome"] == "negative"]
        expected = run.candidates.filter(query_id=query["query_id"], decision="negative").sort("rank")["doc_id"]
        assert negatives == expected.to_list()
        for row in rows:
            known = ledger[str(query["query_id"]), row["doc_id"]]
            assert row["teacher_score"] == pytest.approx(known["teacher_score"], abs=1e-4)
            assert row["text"] == texts[row["doc_id"]]


def test_two_runs_stand_side_by_side(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    done = CliRunner().invoke(app, ["report", str(run.path), "--compare", str(run.path), "--out", str(out)])
    assert done.exit_code == 0
    assert out.read_text(encoding="utf-8").count('<p class="whose">') == 2 * 6
    assert "open it in a browser" in done.stdout


def test_queries_of_people_are_compared(run: Run, tmp_path: Path) -> None:
    human = tmp_path / "human.jsonl"
    human.write_text("\n".join(json.dumps({"query": f"why is my {a} sore"}) for a in WORDS * 2), encoding="utf-8")
    text = make_page(run.path, tmp_path / "page.html", human=str(human)).read_text(encoding="utf-8")
    assert "Against queries of people" in text
    assert re.search(r"classifier AUC</td><td[^>]*>1\.00<", text)


def test_too_few_queries_of_people_are_refused(run: Run, tmp_path: Path) -> None:
    human = tmp_path / "human.jsonl"
    human.write_text('{"query": "why"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="64 queries of the run and 1 of people"):
        make_page(run.path, tmp_path / "page.html", human=str(human))


def test_a_run_without_the_library_ends_well(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(path: Path) -> None:
        raise BackendMissingError("the page of a run", extra="report")

    monkeypatch.setattr(run_page, "make_page", missing)
    caplog.set_level("INFO")
    run_page.try_page(run.path)
    assert "pip install 'datagen[report]'" in caplog.text


def test_a_pipeline_ends_with_the_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    monkeypatch.setattr(pipeline, "try_page", made.append)
    datagen.mine(run.path, **{name: run.settings[name] for name in ("input", "cache", "teacher", "denoise")})
    assert made == [run.path]


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[webdriver.Chrome]:
    chrome, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chrome or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = Options()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = chrome
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.get(page.as_uri())
    WebDriverWait(opened, 60).until(_is_unpacked)
    yield opened
    opened.quit()


def _is_unpacked(browser: webdriver.Chrome) -> bool:
    return bool(browser.execute_script('return performance.getEntriesByName("samples-ready").length'))


def _log(browser: webdriver.Chrome, kind: str) -> list[dict[str, str]]:
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def test_the_browser_shows_it_without_requests_and_errors(browser: webdriver.Chrome, page: Path) -> None:
    events = [json.loads(entry["message"])["message"] for entry in _log(browser, "performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert _log(browser, "browser") == []
    assert browser.title == "run · datagen"  # and not what a text of the corpus wanted


def test_a_search_finds_queries_and_a_row_opens(browser: webdriver.Chrome) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    search = browser.switch_to.active_element
    assert search.get_attribute("id") == "search"
    search.send_keys("document.title")
    queries = browser.find_elements(By.CSS_SELECTOR, ".query")
    assert 0 < len(queries) < 64
    summary = queries[0].find_element(By.TAG_NAME, "summary")
    summary.send_keys(Keys.ENTER)
    assert HOSTILE in queries[0].text
    assert queries[0].find_elements(By.TAG_NAME, "img") == []
    assert queries[0].find_elements(By.TAG_NAME, "mark")
    search.clear()
    search.send_keys("no such words")
    assert browser.find_element(By.ID, "found").text.startswith("0 of 64")
    search.clear()
    search.send_keys(" ")
    assert _log(browser, "browser") == []


def test_reasons_filter_the_samples(browser: webdriver.Chrome, page: Path) -> None:
    reason = browser.find_element(By.ID, "reason")
    names = [option.get_attribute("value") for option in reason.find_elements(By.TAG_NAME, "option")]
    held = {str(row["reason"]) for query in _samples(page) for row in query["rows"]}
    assert names == ["", *sorted(held)]


def test_the_theme_switches_and_is_readable(browser: webdriver.Chrome) -> None:
    def back() -> str:
        return str(browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))

    before = back()
    browser.find_element(By.ID, "theme").click()
    assert back() != before
    browser.find_element(By.ID, "theme").click()
    assert back() == before


def test_a_phone_scrolls_down_alone(browser: webdriver.Chrome) -> None:
    browser.set_window_size(400, 800)
    wide = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    assert len(browser.get_screenshot_as_png()) > 10_000
