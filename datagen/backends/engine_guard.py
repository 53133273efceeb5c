"""Ends the processes of an engine whose owner was killed: they outlive it, and hold on to its GPU memory."""

from __future__ import annotations

import multiprocessing
import subprocess

_SHELL = "/bin/sh"
# Reads process ids until nobody is left to write any, then ends each: at first gently, after 15 s for good.
_SCRIPT = """
end() {
  kill "$1" || return
  for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    sleep 1
    kill -0 "$1" || return
  done
  kill -9 "$1"
}
while read -r pid; do pids="$pids $pid"; done
for pid in $pids; do end "$pid" & done
wait
"""


class EngineGuard:
    """A shell beside this process that ends those it was told of, should this process be gone; costs nothing."""

    def __init__(self, shell: subprocess.Popen[str]) -> None:
        """Keep the shell; see `start_guard`."""
        self._shell = shell
        self._known = {process.pid for process in multiprocessing.active_children()}

    def watch_new(self) -> None:
        """Tell it of the child processes that multiprocessing has started since the last look, or since the start."""
        new = {process.pid for process in multiprocessing.active_children()} - self._known
        self._known |= new
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.stdin.writelines(f"{pid}\n" for pid in new)
            self._shell.stdin.flush()

    def end_all(self) -> None:
        """End the processes now, without waiting for it."""
        self.watch_new()
        if self._shell.stdin is not None:
            self._shell.stdin.close()

    def dismiss(self) -> None:
        """End the guard and no other process."""
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()


def start_guard() -> EngineGuard:
    """A guard for the child processes that multiprocessing starts from now on.

    It has a session of its own: the signals of the terminal do not reach it.
    """
    silent = subprocess.DEVNULL
    command = [_SHELL, "-c", _SCRIPT]
    shell = subprocess.Popen(  # noqa: S603 - a script without input
        command, stdin=subprocess.PIPE, stdout=silent, stderr=silent, start_new_session=True, text=True
    )
    return EngineGuard(shell)
