"""The guard of an engine's processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from datagen.backends.engine_guard import start_guard

# Starts a child that lives on without its parent, has it guarded, tells its id and waits to be killed.
OWNER = """
import multiprocessing, time
from datagen.backends.engine_guard import start_guard

if __name__ == "__main__":
    guard = start_guard()
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    guard.watch_new()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_guarded_process_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        assert is_alive(child)
        owner.kill()
    deadline = time.monotonic() + 20
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(child)


def test_guard_ends_the_processes_when_told_to() -> None:
    guard = start_guard()
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    guard.end_all()
    child.join(20)
    assert child.exitcode == -signal.SIGTERM
    guard.dismiss()


def test_dismissed_guard_leaves_the_processes_alone() -> None:
    guard = start_guard()
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    guard.watch_new()
    guard.dismiss()
    assert child.is_alive()
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
