"""Started by a test: brings up an engine, tells the ids of its processes, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from datagen.backends.llm_vllm import load_vllm
from datagen.settings.generate import LLMConfig


async def main() -> None:
    """Start, tell, wait."""
    engine = load_vllm(sys.argv[1], LLMConfig(engine={"max_model_len": 512, "enforce_eager": True}))
    await engine.prepare()
    sys.stdout.write(" ".join(map(str, _descendants(Path("/proc/self").resolve().name))) + "\n")
    sys.stdout.flush()
    await asyncio.sleep(600)


def _descendants(pid: str) -> list[int]:
    children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [int(child) for child in children] + [inner for child in children for inner in _descendants(child)]


if __name__ == "__main__":
    asyncio.run(main())
