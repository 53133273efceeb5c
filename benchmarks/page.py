"""The page of runs of several sizes: how long it takes to write, how big it is, how soon a browser shows it.

    python -m benchmarks.page --run RUN [--rows 1000 10000 100000] [--folder WHERE]

RUN is a finished run folder. Its tables are cut, or repeated with new ids and with the words of each text in another
order, which packs worse than real texts; what the stages counted is told as in RUN but for the choice of negatives.
Each page is written in a process of its own and opened in headless Chromium (chromium and chromedriver on the path).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from datagen.report.ledger import count_ledger
from datagen.run_page import make_page
from datagen.runs import load_run
from datagen.shards import part_name, write_part

_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_TIMES = """
const paint = performance.getEntriesByName("first-contentful-paint")[0];
return [paint.startTime, performance.getEntriesByName("samples-ready")[0].startTime];
"""


def main() -> None:
    """Make the runs, write and open their pages, print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where the runs are made and kept; a temporary folder when absent")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        _write(arguments.write)
        return
    if not arguments.run:
        parser.error("give --run RUN")
    print(
        "| rows | candidates | seconds to write | CPU seconds | peak GiB | MB | first paint, s | ready, s | requests |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as temporary:
        for rows in arguments.rows:
            folder = (arguments.folder or Path(temporary)) / f"rows-{rows}"
            if not folder.exists():
                repeat_run(arguments.run, folder, rows)
            _measure(folder, rows)


def repeat_run(source: Path, folder: Path, rows: int) -> None:
    """A run of so many queries, made of the tables of another."""
    run = load_run(source)
    queries = run.queries
    for copy in range(-(-rows // len(queries))):
        kept = queries.head(rows - copy * len(queries)).select("query_id")
        for name in ("corpus", "queries", "pairs", "candidates", "margins", "train"):
            frame = run.table(name)
            if "query_id" in frame.columns:
                frame = frame.join(kept, on="query_id", how="semi", maintain_order="left")
            write_part(folder / name / part_name(copy), name, _varied(frame, copy))
    summary = json.loads((source / "run.json").read_text(encoding="utf-8"))
    wanted = summary["settings"]["mine"]["num_negatives"]
    counts = count_ledger(folder / "candidates", rows, [wanted], pl.scan_parquet(folder / "corpus").collect().height)
    summary["stages"]["choose"]["counts"] = counts
    (folder / "run.json").write_text(json.dumps(summary), encoding="utf-8")


def _varied(frame: pl.DataFrame, copy: int) -> pl.DataFrame:
    """The rows with ids of their own and, in texts, the words in another order; the first copy stays as it is."""
    if not copy:
        return frame
    ids = [name for name in ("query_id", "doc_id") if name in frame.columns]
    texts = [name for name in ("query", "text") if name in frame.columns]
    mixed = pl.col(texts).str.split(" ").list.sample(fraction=1, shuffle=True, seed=copy).list.join(" ")
    return frame.with_columns(pl.col(ids) + f"-{copy}", mixed)


def _write(folder: Path) -> None:
    started, cpu = time.monotonic(), time.process_time()
    page = make_page(folder)
    found = {
        "seconds": time.monotonic() - started,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "megabytes": page.stat().st_size / 1e6,
    }
    print(json.dumps(found))


def _measure(folder: Path, rows: int) -> None:
    command = [sys.executable, "-m", "benchmarks.page", "--write", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wrote: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    painted, ready, requests = _open(folder / "report.html")
    candidates = load_run(folder).scan("candidates").select(pl.len()).collect().item()
    print(
        f"| {rows:,} | {candidates:,} | {wrote['seconds']:.1f} | {wrote['cpu']:.1f} | {wrote['peak']:.2f} | "
        f"{wrote['megabytes']:.2f} | {painted / 1000:.2f} | {ready / 1000:.2f} | {requests} |",
        flush=True,
    )


def _open(page: Path) -> tuple[float, float, int]:
    """Milliseconds to the first contentful paint and until the samples are there; requests beside the file itself."""
    options = Options()
    for flag in _FLAGS:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        browser.get(page.resolve().as_uri())
        WebDriverWait(browser, 60).until(_is_ready)
        painted, ready = browser.execute_script(_TIMES)
        log: list[dict[str, Any]] = browser.get_log("performance")  # type: ignore[no-untyped-call]  # Any: JSON
        events = [json.loads(entry["message"])["message"] for entry in log]
    finally:
        browser.quit()
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return painted, ready, len([url for url in asked if not url.startswith(("data:", page.resolve().as_uri()))])


def _is_ready(browser: webdriver.Chrome) -> bool:
    """Whether something was painted and the samples can be searched."""
    script = 'return ["first-contentful-paint", "samples-ready"].every((n) => performance.getEntriesByName(n).length)'
    return bool(browser.execute_script(script))


if __name__ == "__main__":
    main()
