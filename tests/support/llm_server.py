"""An OpenAI-compatible server on this machine that misbehaves by script and counts what it was asked.

As its own process:   python tests/support/llm_server.py --port 0 --script script.json
From a test:          with start_server({"latency_seconds": 0.1}) as server: ... server.url ...

This file needs the standard library alone; the process that it starts needs aiohttp. The fields of a script are those
of `llm_faults.Script`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int

    @property
    def root(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What to give as base_url."""
        return f"{self.root}/v1"

    def stats(self, full: bool = False) -> dict[str, Any]:  # Any: JSON
        """What it was asked so far: requests, status, kinds, open, peak_open, prompts, repeated, resent, probes …

        With `full` also `arrivals`: the hash of each prompt and how often it came.
        """
        return self._call("/stats?full=1" if full else "/stats")

    def set_script(self, script: Mapping[str, Any]) -> None:  # Any: JSON
        """Behave like this from now on; counts stay, clocks and chances start anew."""
        self._call("/script", json.dumps(script).encode())

    def reset(self) -> None:
        """Forget all counts, files and batches."""
        self._call("/reset", b"{}")

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:  # Any: JSON
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.root + path, body, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)  # Any: JSON
            return found


@contextlib.contextmanager
def start_server(
    script: Mapping[str, Any] | None = None,  # Any: JSON
    python: str = sys.executable,
    port: int = 0,
) -> Iterator[Server]:
    """A server in a process of its own, which ends with the `with` block; port 0 takes a free one."""
    command = [python, str(Path(__file__).resolve()), "--port", str(port), "--until-stdin-ends"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server for tests did not start: {' '.join(command)}")
        server = Server(json.loads(line)["port"])
        if script:
            server.set_script(script)
        yield server
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--until-stdin-ends", action="store_true", help="end with whoever started this")
    options = parser.parse_args()
    script = json.loads(options.script.read_text(encoding="utf-8")) if options.script else {}
    sys.path.insert(0, str(ROOT))
    from tests.support.llm_app import serve

    serve(options.port, script, options.until_stdin_ends)


if __name__ == "__main__":
    main()
