"""The journal: what decides a question's name, what survives, and what a bad disk says."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.backends.protocols import LLMReply, LLMRequest, Sampling, Usage
from datagen.errors import RunFolderError, StorageError
from datagen.generation.runtime.journal import FILE, Journal, open_journal, request_key

REQUEST = LLMRequest("r1", {"a": "b"}, ({"role": "user", "content": "Write."},), Sampling(seed=1), {"type": "object"})
REPLY = LLMReply("r1", '{"query": "x"}', finish_reason="length", usage=Usage(7, 3), latency_seconds=0.5)


def _keep(journal: Journal, *answers: tuple[bytes, LLMReply]) -> None:
    async def keep() -> None:
        await asyncio.gather(*(journal.keep(key, "m", reply) for key, reply in answers))

    asyncio.run(keep())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(REQUEST, messages=({"role": "user", "content": "Write!"},)), id="messages"),
        pytest.param(replace(REQUEST, messages=({"role": "system", "content": "Write."},)), id="role"),
        pytest.param(replace(REQUEST, sampling=Sampling(seed=2)), id="seed"),
        pytest.param(replace(REQUEST, sampling=Sampling(seed=1, max_tokens=9)), id="max-tokens"),
        pytest.param(replace(REQUEST, sampling=Sampling(seed=1, temperature=0.1)), id="temperature"),
        pytest.param(replace(REQUEST, schema={"type": "array"}), id="schema"),
        pytest.param(replace(REQUEST, schema=None), id="no-schema"),
        pytest.param(replace(REQUEST, sample=1), id="sample"),
    ],
)
def test_another_question_has_another_key(other: LLMRequest) -> None:
    assert request_key("m", REQUEST) != request_key("m", other)


def test_model_is_part_of_the_key_and_the_row_is_not() -> None:
    assert request_key("m", REQUEST) != request_key("n", REQUEST)
    assert request_key("m", REQUEST) == request_key("m", replace(REQUEST, row_id="r2", slots={}))


def test_key_is_the_same_for_an_equal_schema_and_in_another_process() -> None:
    assert request_key("m", REQUEST) == request_key("m", replace(REQUEST, schema={"type": "object"}))
    assert request_key("m", REQUEST).hex() == "a05a7fb1935a6b26fd237c7999cf4fc5db862865"


def test_answer_is_found_again_under_the_name_of_whoever_asks(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        _keep(journal, (b"k", REPLY))
        assert journal.find(b"k", "other") == replace(REPLY, row_id="other")
        assert journal.find(b"x", "other") is None
    with open_journal(tmp_path.parent / tmp_path.name) as empty:  # another folder: RUN/journal
        assert empty.find(b"k", "r1") is None


def test_answers_survive_closing_and_the_first_one_stays(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        _keep(journal, (b"k", REPLY))
        _keep(journal, (b"k", replace(REPLY, text="later")))
    with Journal(tmp_path) as journal:
        assert journal.find(b"k", "r1") == REPLY
        assert journal.count() == 1


@given(text=st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    reply = LLMReply("r", text, error="refused", detail=text)
    with Journal(tmp_path_factory.mktemp("journal")) as journal:
        _keep(journal, (b"k", reply))
        assert journal.find(b"k", "r") == reply


def test_many_answers_at_once_are_all_kept(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        _keep(journal, *((str(number).encode(), REPLY) for number in range(5000)))
        assert journal.count() == 5000


def test_what_was_kept_is_there_after_a_sigkill(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from datagen.backends.protocols import LLMReply\n"
        "from datagen.generation.runtime.journal import Journal\n"
        "async def main():\n"
        "    journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "    for number in range(10**6):\n"
        "        keys = [f'{number}-{i}'.encode() for i in range(9)]\n"
        "        await asyncio.gather(*(journal.keep(key, 'm', LLMReply('r', 'x')) for key in keys))\n"
        "        print(number, flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        seen = [int(process.stdout.readline()) for _ in range(50)][-1]
        os.kill(process.pid, signal.SIGKILL)
        seen = max([seen, *map(int, process.stdout.read().split())])
    with Journal(tmp_path) as journal:
        assert all(journal.find(f"{number}-{i}".encode(), "r") for number in range(seen + 1) for i in range(9))


def test_notes_are_kept_by_kind_and_name(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.write_note("batch", "b1", "one")
        journal.write_note("batch", "b1", "two")
        journal.write_note("batch", "b2", "three")
        journal.write_note("file", "b1", "four")
        journal.write_note("batch", "b2", None)
    with Journal(tmp_path) as journal:
        assert journal.read_notes("batch") == {"b1": "two"}
        assert journal.read_notes("file") == {"b1": "four"}


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(RunFolderError, match=r"answers.sqlite cannot be opened as the journal .* move it away"):
        Journal(tmp_path)


def test_a_disk_that_refuses_stops_whoever_waits_with_a_sentence(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        with sqlite3.connect(tmp_path / FILE) as other:
            other.execute("DROP TABLE answers")
        with pytest.raises(StorageError, match=r"cannot write the journal .* not asked again"):
            _keep(journal, (b"k", REPLY))


def test_an_asker_that_gave_up_does_not_stop_the_others(tmp_path: Path) -> None:
    async def one_is_cancelled(journal: Journal) -> None:
        tasks = [asyncio.create_task(journal.keep(bytes([number]), "m", REPLY)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tasks[0].cancelled()

    with Journal(tmp_path) as journal:
        asyncio.run(one_is_cancelled(journal))
        assert journal.count() == 3


def test_step_is_part_of_the_key_and_a_row_without_one_keeps_the_key_it_had() -> None:
    plain = LLMRequest("g-1", {}, ({"role": "user", "content": "hello"},))
    keys = {request_key("m", replace(plain, step=step)) for step in ("", "choose", "judge")}
    assert len(keys) == 3
    assert request_key("m", plain).hex() == "4739a2ada296c84d186993490fcc771d239be6c5"


def test_many_notes_are_kept_at_once_and_found_one_by_one(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.write_notes("offers", {"a": "1", "b": "2"})
        journal.write_notes("offers", {"b": "3"})
        assert [journal.find_note("offers", name) for name in ("a", "b", "c")] == ["1", "3", None]
        assert journal.find_note("other", "a") is None
