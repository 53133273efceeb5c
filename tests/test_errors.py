from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from datagen import errors, shards
from datagen.config import build_config
from datagen.errors import (
    BackendError,
    BackendMissingError,
    ConfigError,
    DatagenError,
    InputError,
    ModelLoadError,
    RunFolderError,
    StorageError,
    ThrottledError,
    some_of,
    unknown_choice,
)
from datagen.run_folder import RunFolder, open_run
from datagen.storage import make_folder


def _give_wrong_settings(path: Path) -> None:
    build_config({"out": path, "input": {"beir": "x"}, "seed": -1})


def _read_no_parquet(path: Path) -> None:
    (path / "part-00000.parquet").write_bytes(b"not parquet")
    shards.read(path)


def _run_in_a_file(path: Path) -> None:
    (path / "run").write_text("x", encoding="utf-8")
    with open_run(path / "run"):
        pass


def _run_beside_foreign_files(path: Path) -> None:
    (path / "thesis.txt").write_text("x", encoding="utf-8")
    with open_run(path):
        pass


def _read_foreign_summary(path: Path) -> None:
    (path / "run.json").write_text("[broken", encoding="utf-8")
    RunFolder(path).summary()


def _make_folder_below_a_file(path: Path) -> None:
    (path / "file").write_text("x", encoding="utf-8")
    make_folder(path / "file" / "folder")


def _fail_in_a_backend(path: Path) -> None:
    raise BackendError("the server is busy: try again later", retryable=True)


def _ask_too_often(path: Path) -> None:
    raise ThrottledError("the server asks for fewer requests (429): slow down", retry_after=2.0)


def _lack_a_package(path: Path) -> None:
    raise BackendMissingError("the index 'faiss'", "faiss")


def _fail_to_load_a_model(path: Path) -> None:
    raise ModelLoadError("cannot load 'some/model': the hub was not reachable; give the path of a folder instead")


CASES: list[tuple[type[DatagenError], Callable[[Path], None], list[str]]] = [
    (ConfigError, _give_wrong_settings, ["'seed' is -1", "greater than or equal to 0", "seed of every choice"]),
    (InputError, _read_no_parquet, ["cannot read the parquet files of", "test_error_says"]),
    (RunFolderError, _run_in_a_file, ["is a file", "name a folder that is new or holds an earlier run"]),
    (RunFolderError, _run_beside_foreign_files, ["files that datagen did not make", "name a folder"]),
    (RunFolderError, _read_foreign_summary, ["run.json is not a run summary", "move it away"]),
    (
        StorageError,
        _make_folder_below_a_file,
        ["cannot write", "a part of the path is a file", "choose another folder"],
    ),
    (BackendError, _fail_in_a_backend, ["the server is busy: try again later"]),
    (ThrottledError, _ask_too_often, ["asks for fewer requests (429): slow down"]),
    (BackendMissingError, _lack_a_package, ["the index 'faiss' needs a package", "pip install 'datagen[faiss]'"]),
    (ModelLoadError, _fail_to_load_a_model, ["cannot load 'some/model'", "folder instead"]),
]


@pytest.mark.parametrize(
    ("kind", "provoke", "parts"), CASES, ids=[f"{kind.__name__}-{provoke.__name__[1:]}" for kind, provoke, _ in CASES]
)
def test_error_says_what_failed_and_what_to_do(
    kind: type[DatagenError], provoke: Callable[[Path], None], parts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DatagenError) as caught:
        provoke(tmp_path)
    assert type(caught.value) is kind
    assert [part for part in parts if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_every_error_has_its_text_tested() -> None:
    assert {kind for kind, _, _ in CASES} == _all_below(DatagenError)


def test_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = {word for line in (errors.__doc__ or "").splitlines() if "──" in line for word in line.split()[1:]}
    named = {name for name, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, DatagenError)}
    assert named == (drawn & named) | {"DatagenError"}
    assert {kind.__name__ for kind in _all_below(DatagenError)} == named - {"DatagenError"}


@pytest.mark.parametrize("retryable", [pytest.param(True, id="may-help"), pytest.param(False, id="will-not-help")])
def test_backend_error_says_whether_trying_again_may_help(retryable: bool) -> None:
    assert BackendError("x", retryable=retryable).retryable is retryable
    assert not BackendMissingError("x", "st").retryable


def test_unknown_choice_lists_what_exists() -> None:
    error = unknown_choice("index", "fais", ["hnsw", "faiss"])
    assert isinstance(error, ConfigError)
    assert str(error) == "unknown index 'fais': choose one of faiss, hnsw"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a", "b"], "'a', 'b'", id="few"),
        pytest.param(range(1200), "0, 1, 2, 3, 4 … (1,200 in all)", id="many"),
    ],
)
def test_some_of_shows_the_first_five(values: list[object], expected: str) -> None:
    assert some_of(values) == expected


def _all_below(kind: type[DatagenError]) -> set[type[DatagenError]]:
    """The public ones: a backend may have kinds of its own for what it mends itself."""
    below = {child for child in kind.__subclasses__() if child.__module__ == errors.__name__}
    return below.union(*(_all_below(child) for child in below))
