"""What is pushed of a run or an export, and pushing it to a hub that misbehaves."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import datasets
import huggingface_hub
import polars as pl
import pyarrow.parquet as pq
import pytest

from datagen import pushing
from datagen.backends import hub_upload
from datagen.errors import BackendError, ConfigError, DatagenError, InputError, RunFolderError, ThrottledError
from datagen.formats import FORMATS, ExportOptions, export_run
from datagen.pushing import plan_push, push
from datagen.tables import SCHEMAS
from tests.support.hub_server import TOKEN, Fault, Hub, serve_hub
from tests.support.small_run import run_small, write_beir

REPO = "me/data"
# The client itself gives large files to its HTTP library in a way that this is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
EXPORTS = [name for name, form in FORMATS.items() if form.tables]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_beir(folder / "beir")
    return run_small(folder).out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def export(made: Path, tmp_path: Path) -> Path:
    return export_run(made, "st-triplet", tmp_path / "export").path


@pytest.fixture(params=[False, True], ids=["small", "large"])
def lfs(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Hub]:
    """A hub that the client speaks to, without waiting between tries."""
    with serve_hub(lfs="lfs" in request.fixturenames and request.getfixturevalue("lfs")) as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", hub.lfs)  # its storage is not played here
        monkeypatch.setattr(hub_upload.HubDataset.__init__, "__defaults__", (None, 0.001))
        hurried = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", hurried)
        yield hub


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in plan_push(folder).files}


def test_a_run_is_pushed_without_journal_stages_and_what_is_not_of_datagen(run: Path) -> None:
    for name in ("journal/journal.sqlite", "probe/probe.json", "run.log", "train/notes.txt", ".cache/x"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("{}", encoding="utf-8")
    (run / "link.md").symlink_to(run / "README.md")
    (run / "LICENSE").write_text("yours", encoding="utf-8")
    plan = plan_push(run)
    tables = {name for name in SCHEMAS if any((run / name).glob("*.parquet"))}
    assert {name.partition("/")[0] for name in plan.files} == tables | {
        "LICENSE",
        "README.md",
        "run.json",
        "report.json",
    }
    assert plan.files["train/part-00000.parquet"] == (run / "train" / "part-00000.parquet").stat().st_size
    assert plan.left_out == {
        ".cache/": "hidden: work in progress, locks and caches",
        ".lock": "hidden: work in progress, locks and caches",
        ".stages/": "what the stages keep; the tables are the same files",
        "journal/": "raw answers of language models",
        "link.md": "a link",
        "probe/": "students of datagen probe; their figures are in the card",
        "run.log": "not written by datagen",
        "train/notes.txt": "not written by datagen",
    }


def test_every_config_of_a_run_loads_from_what_was_pushed(run: Path, hub: Hub, tmp_path: Path) -> None:
    push(plan_push(run), REPO, quiet=True)
    _write(hub.repos[REPO].files(), tmp_path / "pulled")
    names = datasets.get_dataset_config_names(str(tmp_path / "pulled"))
    assert set(names) == {
        name for name in SCHEMAS if any(pq.read_metadata(x).num_rows for x in (run / name).glob("*.parquet"))
    }
    for name in names:
        rows = datasets.load_dataset(str(tmp_path / "pulled"), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert rows.num_rows == len(pl.read_parquet(run / name / "*.parquet"))


@pytest.mark.parametrize("name", EXPORTS)
def test_every_config_of_an_export_loads(name: str, made: Path, tmp_path: Path) -> None:
    form = FORMATS[name]
    scores = {"scores": "teacher"} if form.scores != "none" else {}
    options = ExportOptions(split={"train": 0.5, "dev": 0.5}, **scores)  # type: ignore[arg-type]
    out = export_run(made, name, tmp_path / "out", options).path
    plan = plan_push(out)
    assert plan.left_out == {}
    assert set(plan.files) == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    configs = {table.config for table in form.tables if table.config is not None}
    for config in configs:
        loaded = datasets.load_dataset(str(out), config, cache_dir=str(tmp_path / "cache"))
        assert sum(split.num_rows for split in loaded.values())


def test_what_was_pushed_is_what_is_there_and_a_second_push_sends_nothing(run: Path, hub: Hub, lfs: bool) -> None:
    plan = plan_push(run)
    assert push(plan, REPO, quiet=True).changed
    assert hub.repos[REPO].files() == _contents(run)
    assert hub.repos[REPO].private
    assert bool(hub.stored) is lfs
    sent = len(hub.sent)
    assert not push(plan_push(run), REPO, quiet=True).changed
    assert len(hub.sent) == sent
    assert len(hub.repos[REPO].branches["main"]) == 2


def test_files_that_the_configs_would_read_and_the_folder_lacks_are_removed(export: Path, hub: Hub) -> None:
    push(plan_push(export), REPO, quiet=True)
    files = hub.repos[REPO].files()
    files |= {"train-00099.parquet": b"of an earlier export", "notes.md": b"somebody's own"}
    push(plan_push(export), REPO, quiet=True)
    assert hub.repos[REPO].files() == {**_contents(export), "notes.md": b"somebody's own"}


def test_a_branch_is_made_where_it_is_not_there(export: Path, hub: Hub) -> None:
    push(plan_push(export), REPO, revision="v2", quiet=True)
    assert hub.repos[REPO].files("main") == {}
    assert hub.repos[REPO].files("v2") == _contents(export)
    assert not push(plan_push(export), REPO, revision="v2", quiet=True).changed


def test_a_public_dataset_is_filled_only_when_that_is_said(export: Path, hub: Hub) -> None:
    assert push(plan_push(export), REPO, private=False, quiet=True).changed
    assert not hub.repos[REPO].private
    (export / "README.md").write_text((export / "README.md").read_text() + "more\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'me/data' is there already and everybody can read it: add --public"):
        push(plan_push(export), REPO, quiet=True)
    assert b"more" not in hub.repos[REPO].files()["README.md"]


@pytest.mark.parametrize("kind", [503, "drop"], ids=str)
@pytest.mark.parametrize("route", ["create", "info", "tree", "validate", "preupload", "commit"])
def test_a_fault_that_passes_is_waited_out(
    route: str, kind: Literal[503, "drop"], export: Path, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.faults = [Fault(route, kind)]
    push(plan_push(export), REPO, quiet=True)
    assert hub.asked.count(route) > 1
    assert hub.repos[REPO].files() == _contents(export)
    assert TOKEN not in caplog.text


def test_a_commit_whose_answer_is_lost_is_not_made_twice(export: Path, hub: Hub) -> None:
    hub.faults = [Fault("commit", "drop_after")]
    push(plan_push(export), REPO, quiet=True)
    assert hub.repos[REPO].files() == _contents(export)
    assert len(hub.repos[REPO].branches["main"]) == 2


def test_large_files_that_arrived_before_a_failure_are_not_sent_again(run: Path, hub: Hub, lfs: bool) -> None:
    hub.faults = [Fault("commit", 400)]
    with pytest.raises(BackendError, match="refuses the push to 'me/data' \\(400"):
        push(plan_push(run), REPO, quiet=True)
    assert hub.sent == []
    arrived = hub.asked.count("lfs_upload")
    push(plan_push(run), REPO, quiet=True)
    assert hub.repos[REPO].files() == _contents(run)
    assert len(hub.sent) == len(set(hub.sent)) == len(_contents(run))
    assert hub.asked.count("lfs_upload") == arrived
    assert bool(arrived) is lfs


@pytest.mark.parametrize(
    ("route", "kind", "error", "message"),
    [
        ("create", 401, BackendError, r"the hub does not accept the token in HF_TOKEN \(401\): make a new one"),
        (
            "commit",
            403,
            BackendError,
            r"may not write to the dataset 'me/data' \(403, so it is\): give it write access",
        ),
        ("commit", 413, BackendError, r"the hub refuses the push to 'me/data' \(413, so it is\): check the names"),
        (
            "create",
            429,
            ThrottledError,
            r"the hub asks for fewer requests \(429, so it is\): run the same command again",
        ),
        ("create", 503, BackendError, r"the hub is not well \(503, so it is\): run the same command again later"),
        ("create", "drop", BackendError, r"the push to 'me/data' was broken off \(.+\): check the network"),
        ("commit", "drop", BackendError, r"the push to 'me/data' was broken off \(.+\): check the network"),
    ],
    ids=lambda value: str(value) if isinstance(value, int | str) and len(str(value)) < 9 else "",
)
def test_a_fault_that_stays_is_one_sentence_and_the_next_push_goes_on(
    route: str, kind: int | Literal["drop"], error: type[DatagenError], message: str, export: Path, hub: Hub
) -> None:
    hub.faults = [Fault(route, kind, times=1000)]
    with pytest.raises(error, match=message):
        push(plan_push(export), REPO, quiet=True)
    hub.faults = []
    push(plan_push(export), REPO, quiet=True)
    assert hub.repos[REPO].files() == _contents(export)
    assert len(hub.sent) == len(_contents(export))


def test_the_token_is_in_no_error_even_where_the_hub_repeats_it(export: Path, hub: Hub) -> None:
    hub.faults = [Fault("commit", 400, words=f"bad token {TOKEN}")]
    with pytest.raises(BackendError, match=r"bad token \*\*\*") as caught:
        push(plan_push(export), REPO, quiet=True)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "HF_TOKEN is not set: put a token with write access into the environment"),
        ("hf_two words", "HF_TOKEN holds spaces or other characters that no token has"),
    ],
    ids=["none", "not one"],
)
def test_a_token_that_cannot_be_used_is_said_before_anything_is_asked(
    token: str | None, message: str, export: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_push(export)
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ConfigError, match=message) as caught:
        push(plan, REPO)
    assert "two words" not in str(caught.value)
    assert hub.asked == []


def test_a_name_that_no_dataset_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'a/b/c' is no name of a dataset: give NAME or OWNER/NAME"):
        pushing.check_repo("a/b/c")


def test_offline_mode_is_told(export: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BackendError, match="nothing can be pushed while HF_HUB_OFFLINE is set"):
        push(plan_push(export), REPO)
    assert hub.asked == []


def test_planning_opens_no_connection(run: Path, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: pytest.fail("a connection was opened"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: pytest.fail("a name was looked up"))
    assert plan_push(run).bytes > 0
    assert list(plan_push(export).files) == ["README.md", "train-00000.parquet"]


def test_a_run_that_is_not_finished_is_refused(run: Path) -> None:
    shutil.rmtree(run / ".stages" / "export")
    with pytest.raises(RunFolderError, match="is not finished, it lacks export: run the command that made it again"):
        plan_push(run)


def test_a_run_of_another_version_keeps_its_card(run: Path) -> None:
    summary = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**summary, "datagen": "0.0.1"}), encoding="utf-8")
    card = (run / "README.md").read_text(encoding="utf-8") + "by hand\n"
    (run / "README.md").write_text(card, encoding="utf-8")
    assert "README.md" in plan_push(run).files
    assert (run / "README.md").read_text(encoding="utf-8") == card


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_another_folder_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"is no folder: name a run|is neither a run nor an export"):
        plan_push(tmp_path / folder)


def test_a_config_without_files_is_refused(export: Path) -> None:
    (export / "train-00000.parquet").rename(export / "other.parquet")
    with pytest.raises(
        InputError, match=r"names 'train-\*.parquet' for the config 'default', and there is no such file"
    ):
        plan_push(export)


@pytest.mark.parametrize("front", ["configs: [a", "configs: 3", "other: 1"])
def test_front_matter_that_cannot_be_read_is_refused(front: str, export: Path) -> None:
    (export / "README.md").write_text(f"---\n{front}\n---\nby `datagen export`\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"the front matter of .*README.md is not what datagen writes"):
        plan_push(export)


def test_what_looks_like_a_key_is_refused_unless_it_is_said_to_be_meant(export: Path) -> None:
    pl.DataFrame({"anchor": ["hf_" + "a1" * 17]}).write_parquet(export / "train-00001.parquet")
    with pytest.raises(InputError, match=r"train-00001.parquet holds what looks like a token of the Hugging Face hub"):
        plan_push(export)
    assert "train-00001.parquet" in plan_push(export, allow_keys=True).files


def test_a_secret_of_the_environment_is_refused_in_any_case(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "plain-words-but-secret")
    (export / "notes.jsonl").write_text("my plain-words-but-secret key", encoding="utf-8")
    with pytest.raises(InputError, match=r"notes.jsonl holds the value of a secret of the environment") as caught:
        plan_push(export, allow_keys=True)
    assert "plain-words" not in str(caught.value)


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
