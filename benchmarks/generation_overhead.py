"""What generation costs beside the model: processor and waiting of `datagen generate`, and of distilabel 1.5.3.

    python -m benchmarks.generation_overhead [--requests 5000] [--in-flight 256]
        [--peer-python PATH] [--structured-python PATH]

Both ask the local server of tests/support (a process of its own, started anew for each run) one query for each passage
of about 150 words. Each run is a process of its own; its processor time is that of the process and of all it started.

processor  The server answers at once. Beside the whole corpus 20 passages are run: what remains is start and end.
           Lowest of --repeats runs. Wanted: 0.5 ms a row at most, and 8 times less than the peer.
waiting    The server takes 500 ms. Wanted: at most 5 % more than `requests * 0.5 s / in flight`, in whole rounds.

The peer needs environments of its own: benchmarks/README.md. The exit status is 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.llm_server import start_server

KEY_NAME = "DATAGEN_BENCHMARK_KEY"
TINY, LATENCY = 20, 0.5
MOST_MILLISECONDS, LEAST_RATIO, MOST_WAITING = 0.5, 8.0, 1.05
DEFAULT_BATCH = 50
PEER = Path(__file__).with_name("generation_peer.py")
# Whatever the command leaves behind is waited for as well, so that it is counted.
WATCH = """
import ctypes, json, os, resource, subprocess, sys, time
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
started = time.monotonic()
status = subprocess.call(sys.argv[1:], stdout=sys.stderr)
wall = time.monotonic() - started
try:
    while True:
        os.wait()
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, wall, used.ru_utime + used.ru_stime]))
"""


@dataclass(frozen=True)
class System:
    """Somebody who writes queries."""

    name: str
    command: Callable[[Path, str, Path], list[str]]
    """From corpus, base URL and a place for results."""
    result: Callable[[Path], tuple[float, int]]
    """Seconds of the generation alone, and good rows."""


@dataclass(frozen=True)
class Run:
    """One run of a system: seconds, and the most requests that were open at once."""

    cpu: float
    wall: float
    stage: float
    peak_open: int
    load: float
    """Load average of the machine when it began."""


@dataclass(frozen=True)
class Cost:
    """Processor time: seconds of the tiny and the whole corpus, milliseconds a row without start and with it."""

    start: float
    all_in: float
    net: float
    gross: float


PLAIN, CORPUS = "plain", "corpus"
RECIPE = """description: a query for a passage
slots: {kind: {values: [question, claim, title]}}
prompts: [{user: ask.j2}]
output: {query: {min_characters: 2}, reason: {required: false}}
tally: kind
"""


def main() -> None:
    """Measure and print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-python", type=Path, help="Python with distilabel[openai]==1.5.3")
    parser.add_argument("--structured-python", type=Path, help="Python with distilabel[openai,instructor]==1.5.3")
    parser.add_argument("--batches", type=int, nargs="*", default=[DEFAULT_BATCH, 250, 500, 1000])
    parser.add_argument("--only", choices=["processor", "waiting"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), given.requests, given.repeats)
        ok = given.only == "waiting" or measure_processor(bench, given)
        ok &= given.only == "processor" or measure_waiting(bench, given)
    sys.exit(0 if ok else 1)


class Bench:
    """The corpora, and how a system is run over them."""

    def __init__(self, base: Path, requests: int, repeats: int) -> None:
        """Write the corpora."""
        self.base, self.requests, self.repeats = base, requests, repeats
        self.whole = write_corpus(base / "corpus.jsonl", requests)
        self.tiny = write_corpus(base / "tiny.jsonl", TINY)

    def run(self, system: System, corpus: Path, rows: int, latency: float) -> Run:
        """One run, which must give all rows."""
        out, load = self.base / "out", os.getloadavg()[0]
        shutil.rmtree(out, ignore_errors=True)
        with start_server({"latency_seconds": latency}) as server:
            wall, cpu = self._watch(system.command(corpus, server.url, out))
            stats = server.stats()
        stage, good = system.result(out)
        asked_anew = stats["prompts"] - rows  # queries that were too near to others
        if (good, stats["resent"]) != (rows, 0) or asked_anew > 0.01 * rows:
            sys.exit(f"{system.name}: {good:,} good rows of {rows:,}; the server saw {stats}")
        print(
            f"{system.name}, {rows:,} rows: {cpu:.2f} s CPU, {wall:.1f} s, load {load:.1f}", file=sys.stderr, flush=True
        )
        return Run(cpu, wall, stage, stats["peak_open"], load)

    def _watch(self, command: Sequence[str]) -> tuple[float, float]:
        """Wall and processor seconds; the home of the process is an empty folder, its words go to a file."""
        home, log = self.base / "home", self.base / "log.txt"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        env = {**os.environ, KEY_NAME: "sk-of-the-benchmark", "HOME": str(home)}
        with log.open("w") as file:
            done = subprocess.run(
                [sys.executable, "-c", WATCH, *command], check=True, stdout=subprocess.PIPE, stderr=file, env=env
            )
        status, wall, cpu = json.loads(done.stdout)
        if status:
            sys.exit(f"{command} ended with {status}:\n{log.read_text()[-3000:]}")
        return wall, cpu


def measure_processor(bench: Bench, given: argparse.Namespace) -> bool:
    """Processor time a row; whether ours is small enough, and small enough beside the peer's.

    The systems take turns, so that what else the machine does meets all of them alike.
    """
    systems = [datagen(given.in_flight), datagen(given.in_flight, CORPUS), *_peers(bench, given)]
    tiny: dict[str, list[Run]] = {system.name: [] for system in systems}
    whole: dict[str, list[Run]] = {system.name: [] for system in systems}
    for _ in range(bench.repeats):
        for system in systems:
            tiny[system.name].append(bench.run(system, bench.tiny, TINY, 0.0))
            whole[system.name].append(bench.run(system, bench.whole, bench.requests, 0.0))
    print(f"{bench.requests:,} requests, answered at once; lowest of {bench.repeats} runs\n")
    print(
        f"| system | CPU s | CPU s of {TINY} rows | ms a row | times ours | with start | times ours | wall s | load |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    costs = [_cost(tiny[system.name], whole[system.name], bench.requests) for system in systems]
    for system, cost in zip(systems, costs, strict=True):
        print(_processor_line(system.name, cost, costs[0], whole[system.name]), flush=True)
    ours = costs[0].net
    return ours <= MOST_MILLISECONDS and all(cost.net >= LEAST_RATIO * ours for cost in costs[2:])


def _cost(tiny: Sequence[Run], whole: Sequence[Run], requests: int) -> Cost:
    start, all_in = min(run.cpu for run in tiny), min(run.cpu for run in whole)
    return Cost(start, all_in, (all_in - start) / (requests - TINY) * 1000, all_in / requests * 1000)


def _processor_line(name: str, cost: Cost, ours: Cost, runs: Sequence[Run]) -> str:
    wall = min(run.wall for run in runs)
    loads = f"{min(run.load for run in runs):.1f} to {max(run.load for run in runs):.1f}"
    net, gross = f"{cost.net:.3f} | {cost.net / ours.net:.1f}", f"{cost.gross:.3f} | {cost.gross / ours.gross:.1f}"
    return f"| {name} | {cost.all_in:.2f} | {cost.start:.2f} | {net} | {gross} | {wall:.1f} | {loads} |"


def _peers(bench: Bench, given: argparse.Namespace) -> Iterator[System]:
    """The peer as it comes and at its best batch size, in each of its environments."""
    for task, python in (("text", given.peer_python), ("structured", given.structured_python)):
        if python is None:
            continue
        systems = {size: distilabel(python, task, size) for size in given.batches}
        found = {size: bench.run(system, bench.whole, bench.requests, 0.0).cpu for size, system in systems.items()}
        for size in sorted({DEFAULT_BATCH, min(found, key=found.__getitem__)}):
            yield distilabel(python, task, size)


def measure_waiting(bench: Bench, given: argparse.Namespace) -> bool:
    """Wall time with a slow server; whether ours is close to what cannot be beaten."""
    in_flight: int = given.in_flight
    ideal = math.ceil(bench.requests / in_flight) * LATENCY
    steady = bench.requests * LATENCY / in_flight
    print(f"\n{bench.requests:,} requests, {LATENCY} s each, {in_flight} in flight: ", end="")
    print(f"{ideal:.2f} s in whole rounds, {steady:.2f} s without\n")
    print("| system | s of the stage | of the ideal | s with start | CPU s | most open | load |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |", flush=True)
    ours = datagen(in_flight)
    seconds = [_waiting(bench, ours, ideal) for _ in range(bench.repeats)]
    if given.peer_python is not None:
        for size in sorted({*given.batches, in_flight}):
            _waiting(bench, distilabel(given.peer_python, "text", size), ideal)
    return min(seconds) <= MOST_WAITING * ideal


def _waiting(bench: Bench, system: System, ideal: float) -> float:
    run = bench.run(system, bench.whole, bench.requests, LATENCY)
    seconds = f"{run.stage:.2f} | {run.stage / ideal:.3f} | {run.wall:.2f} | {run.cpu:.2f}"
    print(f"| {system.name} | {seconds} | {run.peak_open} | {run.load:.1f} |", flush=True)
    return run.stage


def datagen(in_flight: int, recipe: str = PLAIN) -> System:
    """This package, through its command line: with a plain recipe, or with all that `corpus` checks."""

    def command(corpus: Path, url: str, out: Path) -> list[str]:
        options = f"--llm openai:test --base-url {url} --queries-per-passage 1 --max-in-flight {in_flight}".split()
        options += ["--set", f"llm.api_key_env={KEY_NAME}", "--recipe", recipe]
        if recipe == PLAIN:
            options += ["--prompts", str(write_recipe(corpus.parent)), "--set", "generate.novelty.enabled=false"]
        return [sys.executable, "-m", "datagen", "generate", "--corpus", str(corpus), "--out", str(out), *options]

    return System(f"datagen, {recipe}", command, _our_result)


def write_recipe(folder: Path) -> Path:
    """A recipe that asks for a query and checks nothing but its schema."""
    home = folder / "recipes" / PLAIN
    home.mkdir(parents=True, exist_ok=True)
    (home / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (home / "ask.j2").write_text(
        "Write a {{ kind }} in JSON that this passage answers:\n{{ text }}\n", encoding="utf-8"
    )
    return home.parent


def _our_result(out: Path) -> tuple[float, int]:
    stage = json.loads((out / "run.json").read_text(encoding="utf-8"))["stages"]["generate"]
    return stage["seconds"], stage["counts"]["accepted"]


def distilabel(python: Path, task: str, batch: int) -> System:
    """The peer, with one of its tasks and a batch size."""

    def command(corpus: Path, url: str, out: Path) -> list[str]:
        return [str(python), str(PEER), str(corpus), url, "--task", task, "--batch", str(batch), "--out", str(out)]

    return System(f"distilabel, {task}, batch {batch}", command, _peer_result)


def _peer_result(out: Path) -> tuple[float, int]:
    found = json.loads((out / "found.json").read_text(encoding="utf-8"))
    return found["seconds"], found["good"]


def write_corpus(path: Path, passages: int) -> Path:
    """Passages of about 150 words, all different, the same each time."""
    chance = random.Random(7)  # noqa: S311 - words, not secrets
    parts = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu".split()
    words = ["".join(chance.choices(parts, k=chance.randint(1, 4))) for _ in range(4000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(passages):
            sentences = (" ".join(chance.choices(words, k=15)).capitalize() + "." for _ in range(10))
            file.write(json.dumps({"_id": f"d{number}", "text": f"Report {number}. {' '.join(sentences)}"}) + "\n")
    return path


if __name__ == "__main__":
    main()
