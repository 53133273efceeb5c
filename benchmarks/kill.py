"""Killed at any instant, it goes on: SIGKILL a run at random moments and compare its shards with an undisturbed run.

    python -m benchmarks.kill --config pipelines/quickstart.yaml [--kills 20] [--seed 0]

Every run starts with an empty cache; a run that ends before it has been killed often enough is followed by another.
Prints each kill and whether `train/` is byte-identical in the end; exit status 1 when it is not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Run undisturbed, run with kills, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        started = time.monotonic()
        if _start(arguments.config, base / "whole").wait():
            sys.exit("the undisturbed run failed")
        seconds = time.monotonic() - started
        expected = _digest(base / "whole")
        print(f"undisturbed: {seconds:.1f} s, {expected}", flush=True)
        chance = random.Random(arguments.seed)  # noqa: S311 - moments, not secrets
        kills, runs = 0, 0
        while kills < arguments.kills:
            runs += 1
            kills += _run_killed(arguments.config, base / f"killed-{runs}", chance, seconds, arguments.kills - kills)
            found = _digest(base / f"killed-{runs}")
            print(
                f"run {runs}, {kills} kills so far: {'byte-identical' if found == expected else 'DIFFERS'}", flush=True
            )
            if found != expected:
                sys.exit(1)


def _run_killed(config: Path, folder: Path, chance: random.Random, seconds: float, most: int) -> int:
    """Kill a run again and again, each time a random while after it started, until it ends; how often."""
    killed = 0
    while killed < most:
        process = _start(config, folder)
        wait = chance.uniform(0.2, max(1.0, seconds * 0.4))
        try:
            process.wait(timeout=wait)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            print(f"kill after {wait:.1f} s: {_state(folder)}", flush=True)
    if _start(config, folder).wait():
        sys.exit("the run failed after the kills")
    return killed


def _start(config: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "datagen", "run", str(config), "--out", str(folder / "run"), "--quiet"]
    command += ["--set", f"cache={folder / 'cache'}"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def _state(folder: Path) -> str:
    stages = folder / "run" / ".stages"
    done = sorted(path.parent.name for path in stages.glob("[!.]*/stage.json"))
    parts = len(list((folder / "cache").rglob("*.keys.npy")))
    return f"stages done {', '.join(done) or 'none'}; {parts} parts in the cache"


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted((folder / "run" / "train").glob("*.parquet")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
