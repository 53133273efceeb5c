"""Every answer of a language model, raw, before anyone reads it: RUN/journal/answers.sqlite.

An answer is found again under the hash of its question, so a run that is killed, changed, reordered or given more rows
asks only what it has never asked. Answers are written in groups, all that came in one turn of the event loop, and
count as answered once their group is committed to SQLite's write-ahead log: a killed process loses nothing that was
committed, a power failure may lose the last moments. A commit writes to memory that the system owns and takes a tenth
of a millisecond; what waits for the disk, moving the log into the file, is done by a thread beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.errors import RunFolderError, StorageError
from datagen.json_text import dump_json
from datagen.storage import make_folder

T = TypeVar("T")
FILE = "answers.sqlite"
ROWS_OF_THE_LOG = 2000
"""Answers after which the log is moved into the file."""

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, row_id TEXT NOT NULL, model TEXT NOT NULL,
    text BLOB NOT NULL, error TEXT, detail BLOB NOT NULL,
    finish_reason TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    latency_seconds REAL NOT NULL, answered_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS notes (kind TEXT, name TEXT, text TEXT NOT NULL, PRIMARY KEY (kind, name));
"""
_COLUMNS = "text, error, detail, finish_reason, prompt_tokens, completion_tokens, latency_seconds"
_FIND = f"SELECT {_COLUMNS} FROM answers WHERE key = ?"  # noqa: S608 - a constant
_KEEP = "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def request_key(model: str, request: LLMRequest) -> bytes:
    """The name of a question: 20 bytes that model, messages, sampling, schema, sample index and step decide.

    The row's id is no part of it: rows may be added, removed and reordered.
    """
    drawn = request.sampling
    values = [
        model,
        request.messages,
        [drawn.temperature, drawn.top_p, drawn.max_tokens, drawn.seed],
        request.sample,
    ]
    hashed = hashlib.blake2b(dump_json(values), digest_size=20)
    if request.schema is not None:
        hashed.update(_schema_text(request.schema))
    if request.step:  # the question that writes a row has the name that it had before there were others
        hashed.update(f"\n{request.step}".encode())
    return hashed.digest()


class Journal:
    """The answers of one run. Open it in a `with` block; only one process at a time may hold it."""

    def __init__(self, folder: Path) -> None:
        """Open the journal in this folder, made when it is not there.

        Raises:
            RunFolderError: the file there is no journal.
            StorageError: the disk refuses.
        """
        make_folder(folder)
        self._path = folder / FILE
        self._waiting: list[tuple[tuple[object, ...], asyncio.Future[None]]] = []
        self._unmoved = 0
        self._mover = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._main, self._moving = self._connect(), self._connect()

    def __enter__(self) -> Journal:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; all that was kept is in it."""
        self._mover.shutdown()
        self._moving.close()
        self._main.close()

    def find(self, key: bytes, row_id: str) -> LLMReply | None:
        """The answer to a question, given in the name of this row; None when it was never answered."""
        found = self._main.execute(_FIND, (key,)).fetchone()
        if found is None:
            return None
        text, error, detail, finish, read, wrote, latency = found
        return LLMReply(row_id, _text(text), error, _text(detail), finish, Usage(read, wrote), latency)

    async def keep(self, key: bytes, model: str, reply: LLMReply) -> None:
        """Store an answer; returns when it is committed.

        Raises:
            StorageError: the disk refuses.
        """
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()
        self._waiting.append((_row(key, model, reply), stored))
        if len(self._waiting) == 1:
            loop.call_soon(self._commit_waiting)
        await stored

    def read_notes(self, kind: str) -> dict[str, str]:
        """All notes of a kind, by name."""
        return dict(self._main.execute("SELECT name, text FROM notes WHERE kind = ?", (kind,)).fetchall())

    def find_note(self, kind: str, name: str) -> str | None:
        """One note; None when there is none."""
        found = self._main.execute("SELECT text FROM notes WHERE kind = ? AND name = ?", (kind, name)).fetchone()
        return found[0] if found else None

    def write_notes(self, kind: str, notes: Mapping[str, str]) -> None:
        """Keep many notes at once, by name, durably, before returning."""
        rows: list[tuple[object, ...]] = [(kind, name, text) for name, text in notes.items()]
        self._guarded(lambda: self._commit("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", rows))

    def write_note(self, kind: str, name: str, text: str | None) -> None:
        """Keep a note, durably, before returning; None removes it."""
        if text is None:
            statement, values = "DELETE FROM notes WHERE kind = ? AND name = ?", (kind, name)
        else:
            statement, values = "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (kind, name, text)  # type: ignore[assignment]  # three values
        self._guarded(lambda: self._commit(statement, [values]))

    def count(self) -> int:
        """How many answers there are."""
        return int(self._main.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _commit_waiting(self) -> None:
        group, self._waiting = self._waiting, []
        rows = [row for row, _ in group]
        try:
            self._guarded(lambda: self._commit(_KEEP, rows))
        except StorageError as exc:
            _settle(group, exc)
            return
        _settle(group, None)
        self._unmoved += len(group)
        if self._unmoved >= ROWS_OF_THE_LOG:
            self._unmoved = 0
            self._mover.submit(self._move_log)

    def _commit(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        with self._main:
            self._main.executemany(statement, rows)

    def _move_log(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):  # somebody reads: the next time will do
            self._moving.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, check_same_thread=False, timeout=10)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.executescript(_TABLES)
        except sqlite3.DatabaseError as exc:
            raise RunFolderError(
                f"{self._path} cannot be opened as the journal of a run ({exc}): move it away, its answers are asked "
                "again then, or name another --out"
            ) from exc
        return connection

    def _guarded(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except sqlite3.Error as exc:
            raise StorageError(
                f"cannot write the journal {self._path}: {exc}; free some space on its disk, then run the same command "
                "again: answers kept before are not asked again"
            ) from exc


@contextlib.contextmanager
def open_journal(run: Path) -> Iterator[Journal]:
    """The journal of a run folder while the block runs."""
    with Journal(run / "journal") as journal:
        yield journal


def _row(key: bytes, model: str, reply: LLMReply) -> tuple[object, ...]:
    usage = reply.usage
    return (
        key,
        reply.row_id,
        model,
        _bytes(reply.text),
        reply.error,
        _bytes(reply.detail),
        reply.finish_reason,
        usage.prompt_tokens,
        usage.completion_tokens,
        reply.latency_seconds,
        time.time(),
    )


def _bytes(text: str) -> bytes:
    """A model may answer with half a surrogate pair, which UTF-8 proper cannot hold: the answer is kept as it came."""
    return text.encode("utf-8", "surrogatepass")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _settle(group: list[tuple[tuple[object, ...], asyncio.Future[None]]], failure: StorageError | None) -> None:
    for _, stored in group:
        if stored.done():  # whoever waited was cancelled
            continue
        if failure:
            stored.set_exception(failure)
        else:
            stored.set_result(None)


_SCHEMAS: dict[int, tuple[Mapping[str, Any], bytes]] = {}  # Any: JSON schemas


def _schema_text(schema: Mapping[str, Any]) -> bytes:  # Any: a JSON schema
    """A run has one schema for thousands of requests: its text is made once for each object."""
    known = _SCHEMAS.get(id(schema))
    if known is None or known[0] is not schema:
        known = _SCHEMAS[id(schema)] = (schema, json.dumps(schema, sort_keys=True).encode())
    return known[1]
