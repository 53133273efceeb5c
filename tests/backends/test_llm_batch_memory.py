"""What the batch lane remembers over a kill, and what it does when the provider forgets or is away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.backends.llm_batch import BATCH_NOTE, FILE_NOTE
from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.errors import BackendError, StorageError
from datagen.generation.runtime.journal import Journal, request_key
from tests.support.batch_lane import (
    CANARY,
    KEY,
    KeptNotes,
    ask_all,
    many,
    note_of,
    open_batch,
    replies_of,
)
from tests.support.llm_server import ROOT, Server, start_server

ASKS_TWENTY = """
import sys
from pathlib import Path
from datagen.generation.runtime.journal import Journal
from tests.support.batch_lane import ask_all, many, open_batch
from tests.support.llm_server import Server

with Journal(Path(sys.argv[2])) as journal:
    ask_all(open_batch(Server(int(sys.argv[1])), journal), many(20))
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and the test's own key."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.set_script(CANARY)
    running.reset()
    return running


@pytest.fixture
def notes() -> KeptNotes:
    return KeptNotes()


def test_only_what_a_cancelled_batch_has_answered_is_remembered(server: Server, tmp_path: Path) -> None:
    server.set_script({**CANARY, "batch_end": "cancelled"})
    requests = many(40)
    with Journal(tmp_path) as journal:
        first = ask_all(open_batch(server, journal), requests)
        server.set_script(CANARY)
        assert len({reply.text for reply in replies_of(open_batch(server, journal), requests)}) == 40
    cancelled = [reply for reply in first if isinstance(reply, BackendError)]
    assert "somebody cancelled it" in str(cancelled[0])
    assert server.stats()["batch_lines"] == 40 + len(cancelled)


def test_killed_run_finds_its_batch_again(server: Server, tmp_path: Path) -> None:
    server.set_script({**CANARY, "batch_seconds": 0.3})
    command = [sys.executable, "-c", ASKS_TWENTY, str(server.port), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while not server.stats()["batches"]:
            assert process.poll() is None
        process.kill()
    with Journal(tmp_path) as journal:
        assert sum(len(journal.read_notes(kind)) for kind in (BATCH_NOTE, FILE_NOTE)) >= 1
        assert len({reply.text for reply in replies_of(open_batch(server, journal), many(25))}) == 25
    assert server.stats()["batch_lines"] == 25, "the first twenty were not submitted again"


def test_kill_between_upload_and_batch_leaves_nothing_to_pay(server: Server, notes: KeptNotes) -> None:
    notes.dies_at = FILE_NOTE
    assert isinstance(ask_all(open_batch(server, notes), many(5))[0], StorageError)
    assert (server.stats()["files"], server.stats()["batches"]) == (1, 0)
    notes.dies_at = None
    assert len(replies_of(open_batch(server, notes), many(5))) == 5
    assert server.stats()["batches"] == 1


def test_kill_between_batch_and_its_note_finds_the_batch_again(server: Server, notes: KeptNotes) -> None:
    notes.dies_at = BATCH_NOTE
    assert isinstance(ask_all(open_batch(server, notes), many(5))[0], StorageError)
    assert notes.kinds() == {FILE_NOTE: 1}
    assert server.stats()["batches"] == 1
    notes.dies_at = None
    assert len(replies_of(open_batch(server, notes), many(5))) == 5
    assert server.stats()["batches"] == 1, "adopted, not made again"
    assert notes.kept == {}


def test_batch_whose_id_was_lost_on_the_way_is_not_made_again(server: Server, notes: KeptNotes) -> None:
    server.set_script({**CANARY, "batch_answers_lost": 1})
    assert len(replies_of(open_batch(server, notes), many(5))) == 5
    assert server.stats()["batches"] == 1
    assert notes.kept == {}


def test_batch_that_was_not_made_is_tried_again(server: Server, notes: KeptNotes) -> None:
    server.set_script({**CANARY, "batch_creations_failed": 2})
    assert len(replies_of(open_batch(server, notes), many(5))) == 5
    server.reset()
    server.set_script({**CANARY, "batch_creations_failed": 3})
    failure = ask_all(open_batch(server, notes), many(5))[0]
    assert isinstance(failure, BackendError)
    assert failure.retryable
    assert server.stats()["batches"] == 0


def test_note_on_a_file_whose_batch_was_never_made_is_dropped(server: Server, notes: KeptNotes) -> None:
    notes.kept[FILE_NOTE, "mark"] = note_of(many(1))
    assert replies_of(open_batch(server, notes), many(1))
    assert notes.kept == {}


def test_batch_that_the_provider_has_dropped_is_sent_anew(server: Server, notes: KeptNotes) -> None:
    notes.kept[BATCH_NOTE, "batch_99"] = note_of(many(1))
    gone = ask_all(open_batch(server, notes), many(1))[0]
    assert isinstance(gone, BackendError)
    assert gone.retryable
    assert replies_of(open_batch(server, notes), many(1))
    assert notes.kept == {}


def test_batch_is_remembered_until_its_answers_are_in_the_journal(server: Server, tmp_path: Path) -> None:
    async def keep(journal: Journal, requests: list[LLMRequest], replies: list[LLMReply]) -> None:
        for request, reply in zip(requests, replies, strict=True):
            await journal.keep(request_key("openai:tiny-model", request), "openai:tiny-model", reply)

    requests = many(4)
    with Journal(tmp_path) as journal:
        replies = replies_of(open_batch(server, journal), requests)
        asyncio.run(keep(journal, requests[:3], replies[:3]))
        assert len(journal.read_notes(BATCH_NOTE)) == 1, "killed before the answers were kept"
        assert replies_of(open_batch(server, journal), requests[3:])[0].text == replies[3].text
        assert len(journal.read_notes(BATCH_NOTE)) == 1
        asyncio.run(keep(journal, requests[3:], replies[3:]))
        assert replies_of(open_batch(server, journal), requests[3:])
        assert journal.read_notes(BATCH_NOTE) == {}
    assert server.stats()["batch_lines"] == 4


def test_server_that_is_away_for_a_while_is_waited_for(server: Server, notes: KeptNotes) -> None:
    async def ask() -> list[LLMReply]:
        llm = open_batch(server, notes)
        asking = asyncio.gather(*map(llm.complete, many(3)))
        while not (await asyncio.to_thread(server.stats))["batches"]:
            pass
        await asyncio.to_thread(server.set_script, {**CANARY, "down_between": [[0, 0.3]]})
        replies = await asking
        await llm.close()
        return replies

    server.set_script({**CANARY, "batch_seconds": 60})
    assert len(asyncio.run(ask())) == 3


def test_server_that_stays_away_stops_the_run_with_its_batches_remembered(server: Server, notes: KeptNotes) -> None:
    notes.kept[BATCH_NOTE, "batch_1"] = note_of(many(3))
    server.set_script({**CANARY, "down_between": [[0, 600]]})
    failure = ask_all(open_batch(server, notes, give_up_seconds=0.1), many(3))[0]
    assert isinstance(failure, BackendError)
    assert not failure.retryable
    assert "run the same command again" in str(failure)
    assert notes.kinds() == {BATCH_NOTE: 1}
