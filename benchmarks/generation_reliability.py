"""What becomes of a generation run when it is killed, when its server misbehaves, and when it is long.

    python -m benchmarks.generation_reliability kill [--rows 3000] [--kills 30] [--seed 0]
    python -m benchmarks.generation_reliability faults [--rows 2000]
    python -m benchmarks.generation_reliability memory [--rows 100000]

Each starts the local server of tests/support (a process of its own) and runs `datagen generate` as a child process.

kill    SIGKILL at random moments; the requests that the server saw again must not exceed those in flight at the kills,
        and all tables must equal those of an undisturbed run, byte for byte.
faults  33 % 429, 10 % malformed, 5 % cut off, 2 % resets, 1 % hangs together: every row that the server ever answers
        well must be accepted, in at most 1.5 times the time that the server's own limits allow.
memory  peak memory of a tenth of the rows and of all of them.

The exit status is 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.llm_server import Server, start_server

KEY_NAME, KEY = "DATAGEN_BENCHMARK_KEY", "sk-canary-of-the-benchmark"
IN_FLIGHT = 64
TABLES = ("corpus", "queries", "pairs", "dropped", "generations")
WORDS = (
    "gout malaria fever liver kidney blood virus cell nerve joint heart lung skin bone muscle brain dose trial".split()
)


def main() -> None:
    """Run the part that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["kill", "faults", "memory"])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        if given.part == "kill":
            ok = measure_kills(base, given.rows or 3000, given.kills, given.seed)
        elif given.part == "faults":
            ok = measure_faults(base, given.rows or 2000)
        else:
            ok = measure_memory(base, given.rows or 100_000)
    sys.exit(0 if ok else 1)


def measure_kills(base: Path, rows: int, kills: int, seed: int) -> bool:
    """Kill and go on until it was killed often enough; whether both promises were kept."""
    corpus = write_corpus(base / "corpus.jsonl", rows)
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    ok, done, runs = True, 0, 0
    with start_server({"latency_seconds": 0.5}) as server:
        wait(start(server, corpus, base / "whole"))
        expected = digest(base / "whole")
        while done < kills:
            runs += 1
            server.reset()
            killed, open_ = _run_with_kills(server, corpus, base / f"run-{runs}", kills - done, chance)
            done += killed
            stats = server.stats()
            same = digest(base / f"run-{runs}") == expected
            print(
                f"run {runs}: {killed} kills, {stats['prompts']:,} prompts, {stats['resent']:,} sent again, "
                f"{open_:,} open at the kills by the server's count, at most {killed * IN_FLIGHT:,} in flight; tables "
                f"{'equal' if same else 'DIFFER'}",
                flush=True,
            )
            ok &= same and stats["resent"] <= killed * IN_FLIGHT
    print(f"{done} kills in {runs} runs of {rows:,} rows: {'kept' if ok else 'BROKEN'}")
    return ok


def _run_with_kills(server: Server, corpus: Path, out: Path, most: int, chance: random.Random) -> tuple[int, int]:
    kills, open_ = 0, 0
    while True:
        process = start(server, corpus, out)
        if kills < most:
            try:
                process.wait(chance.uniform(0.3, 3.0))
            except subprocess.TimeoutExpired:
                open_ += server.stats()["open"]
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                continue
        wait(process)
        return kills, open_


def measure_faults(base: Path, rows: int) -> bool:
    """Everything goes wrong at once; whether all rows that could be had were had, in time."""
    latency, timeout = 0.5, 5.0
    corpus = write_corpus(base / "corpus.jsonl", rows)
    shares = {"429": 0.33, "truncated_json": 0.10, "length": 0.05, "reset": 0.02, "hang": 0.01}
    script = {"latency_seconds": latency, "faults": [{"kind": kind, "share": share} for kind, share in shares.items()]}
    with start_server(script) as server:
        started = time.monotonic()
        wait(start(server, corpus, base / "run", f"llm.timeout_seconds={timeout}", "generate.reasks=3"))
        wall, stats = time.monotonic() - started, server.stats()
    summary = json.loads((base / "run" / "run.json").read_text())
    counts, seconds = summary["stages"]["generate"]["counts"], summary["stages"]["generate"]["seconds"]
    sent = 1 / (1 - 0.33 - 0.02 - 0.01)
    ideal = rows * sent * 1.15 * latency / IN_FLIGHT
    good = counts["accepted"] + counts["rejected_by_reason"].get("duplicate_query", 0)
    print(f"server: {stats['status']} {stats['kinds']}, {stats['requests']:,} requests, peak {stats['peak_open']}")
    print(f"flow: {counts['flow']}")
    print(f"{good:,} of {rows:,} rows answered well and accepted; rungs {counts['rungs']}")
    print(f"rejected: {counts['rejected_by_reason']}")
    print(
        f"{seconds:.1f} s ({wall:.1f} s with start and clean); {IN_FLIGHT} in flight at {latency} s allow {ideal:.1f} s"
    )
    return bool(good == rows and seconds <= 1.5 * ideal)


def measure_memory(base: Path, rows: int) -> bool:
    """Peak memory of a short and of a long run; whether the long one stays below 600 MiB."""
    peaks = []
    with start_server({}) as server:
        for number in (rows // 10, rows):
            corpus = write_corpus(base / f"corpus-{number}.jsonl", number)
            process = start(server, corpus, base / f"run-{number}")
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"the run failed with status {status}")
            peaks.append(usage.ru_maxrss / 1024)
            cpu = usage.ru_utime + usage.ru_stime
            print(f"{number:,} rows: peak {peaks[-1]:,.0f} MiB, {cpu:.1f} s of CPU", flush=True)
    return peaks[-1] < 600


def start(server: Server, corpus: Path, out: Path, *settings: str) -> subprocess.Popen[bytes]:
    """`datagen generate` over a corpus, asking the server."""
    command = [sys.executable, "-m", "datagen", "generate", "--quiet", "--llm", "openai:test", "--base-url", server.url]
    command += [
        "--corpus",
        str(corpus),
        "--queries-per-passage",
        "1",
        "--max-in-flight",
        str(IN_FLIGHT),
        "--out",
        str(out),
    ]
    for setting in (f"llm.api_key_env={KEY_NAME}", *settings):
        command += ["--set", setting]
    return subprocess.Popen(command, env={**os.environ, KEY_NAME: KEY})


def wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run that must end well."""
    if process.wait():
        sys.exit(f"{process.args!r} failed")


def write_corpus(path: Path, passages: int) -> Path:
    """Short passages, all different, the same each time."""
    chance = random.Random(7)  # noqa: S311 - words, not secrets
    with path.open("w", encoding="utf-8") as file:
        for number in range(passages):
            text = " ".join(chance.choices(WORDS, k=60))
            file.write(json.dumps({"_id": f"d{number}", "text": f"Report {number}. {text}."}) + "\n")
    return path


def digest(run: Path, tables: Sequence[str] = TABLES) -> str:
    """A hash over all parts of the tables of a run."""
    hashed = hashlib.sha256()
    for part in sorted(part for table in tables for part in (run / table).glob("*.parquet")):
        hashed.update(f"{part.parent.name}/{part.name}".encode())
        hashed.update(part.read_bytes())
    return hashed.hexdigest()[:16]


if __name__ == "__main__":
    main()
