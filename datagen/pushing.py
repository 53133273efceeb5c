"""`datagen push`: a run folder or an export as a dataset on the Hugging Face hub.

What is pushed is chosen and checked here without a network; `backends/hub_upload.py` sends it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import yaml

from datagen.config import build_config
from datagen.environment import secret_values
from datagen.errors import BackendMissingError, ConfigError, InputError, RunFolderError, StorageError
from datagen.formats.export import is_export
from datagen.key_search import OWN, find_keys
from datagen.pipeline import stage_chain
from datagen.report.card import write_report
from datagen.run_folder import OWN_FILES, RunFolder, open_run
from datagen.tables import SCHEMAS
from datagen.version import __version__

if TYPE_CHECKING:
    from datagen.backends.hub_upload import Uploaded

CARD = "README.md"
_LICENCE = "LICENSE"
_EXPORTED = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".json.gz", ".tsv", ".trec")
_SHORTEST_SECRET = 16
"""Shorter values of the environment may be plain words of a text."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
_HIDDEN = "hidden: work in progress, locks and caches"
_REASONS = {
    ".stages": "what the stages keep; the tables are the same files",
    "journal": "raw answers of language models",
    "probe": "students of datagen probe; their figures are in the card",
    "audit": "rows that an audit found; its figures are in the card",
    "canary": "the mined canaries; their figures are in the card",
}


@dataclass(frozen=True)
class PushPlan:
    """What of a folder is pushed."""

    folder: Path
    files: dict[str, int]
    """Path within the folder, with `/`, to bytes; in order."""
    left_out: dict[str, str]
    """File or folder to the reason."""
    owned: tuple[str, ...]
    """Patterns of the files that the configs of the card read."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(self.files.values())


def plan_push(folder: Path, *, allow_keys: bool = False) -> PushPlan:
    """Choose what of a folder is pushed, and check that it is complete, valid and holds no secret. Asks no network.

    The card of a run is written again, so that it tells of checks that were made since.

    Args:
        folder: a run, or what `datagen export` wrote.
        allow_keys: push texts that look like keys; values of this machine's own secrets are refused all the same.

    Raises:
        RunFolderError: a run that is not finished, or in use.
        InputError: the folder is neither, its card names files that are not there, or a file holds a secret.
        StorageError: the disk refused.
    """
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder: name a run, or what `datagen export` wrote")
    is_run = (folder / "run.json").is_file()
    if is_run:
        _finish_card(folder)
    elif not is_export(folder):
        raise InputError(
            f"{str(folder)!r} is neither a run nor an export of datagen: name a folder with run.json, or write one "
            "with `datagen export`"
        )
    files, left_out = {}, {}
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        reason = _why_not(path, name, is_run=is_run)
        if reason:
            left_out[name + ("/" if path.is_dir() else "")] = reason
        elif path.is_file():
            files[name] = path.stat().st_size
    plan = PushPlan(folder, files, left_out, tuple(_check_card(folder / CARD, files)))
    _check_secrets(plan, allow_keys=allow_keys)
    return plan


def push(
    plan: PushPlan, repo: str, *, private: bool = True, revision: str | None = None, quiet: bool = False
) -> Uploaded:
    """Send what is planned; after a failure, or when little has changed, only what the dataset lacks.

    Args:
        plan: see `plan_push`.
        repo: NAME or OWNER/NAME.
        private: whether a new dataset is private; one that is public is then refused.
        revision: the branch, made when it is not there; the main one when None.
        quiet: draw no progress bars.

    Raises:
        ConfigError: there is no token, or the name or the dataset cannot be used.
        BackendError: the hub refuses, or cannot be reached; or its client is not installed.
    """
    hub = _load_hub()
    hub.check_repo(repo)
    if quiet:
        hub.silence()
    dataset = hub.HubDataset(repo, _read_token(hub.VARIABLE), revision)
    with tempfile.TemporaryDirectory(prefix="datagen-push-") as name:
        _link(plan, Path(name))
        uploaded: Uploaded = dataset.upload(Path(name), private=private, owned=plan.owned)
        return uploaded


def check_repo(repo: str) -> None:
    """Refuse what can be no name of a dataset, before anything is asked.

    Raises:
        ConfigError: says what a name is.
        BackendMissingError: the client of the hub is not installed.
    """
    _load_hub().check_repo(repo)


def _load_hub() -> ModuleType:
    try:
        from datagen.backends import hub_upload
    except ImportError as exc:
        raise BackendMissingError("datagen push", extra="hub") from exc
    return hub_upload


def _read_token(variable: str) -> str:
    token = os.environ.get(variable, "").strip()
    if not token:
        raise ConfigError(
            f"{variable} is not set: put a token with write access into the environment, and nowhere else"
        )
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"{variable} holds spaces or other characters that no token has: copy it again")
    return token


def _finish_card(folder: Path) -> None:
    """Check that a run is finished, and write its card again where this version of datagen made it."""
    run = RunFolder(folder)
    summary = run.read_summary()
    wanted = [stage.name for stage in stage_chain(build_config(summary["settings"]))]
    missing = [name for name in wanted if name not in summary["stages"] or not run.record(name)]
    if missing:
        raise RunFolderError(
            f"the run {folder} is not finished, it lacks {', '.join(missing)}: run the command that made it again, "
            "then push"
        )
    if summary["datagen"] == __version__:
        with open_run(folder):
            write_report(run, list(summary["stages"]), build_config(summary["settings"]))


def _walk(folder: Path) -> Iterator[Path]:
    """All files in order, and the folders that are left out as wholes."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".") and path.name not in _REASONS:
            yield from _walk(path)
        else:
            yield path


def _why_not(path: Path, name: str, *, is_run: bool) -> str:
    """Why something is left out; empty for what is pushed."""
    if path.name in _REASONS:
        return _REASONS[path.name]
    if path.name.startswith("."):
        return _HIDDEN
    if path.is_symlink():
        return "a link"
    table, slash, _ = name.partition("/")
    if name in (CARD, _LICENCE):
        return ""
    if is_run:
        wanted = name in OWN_FILES or (slash and table in SCHEMAS and path.suffix == ".parquet")
    else:
        wanted = name.endswith(_EXPORTED)
    return "" if wanted else "not written by datagen"


def _check_card(card: Path, files: dict[str, int]) -> Iterator[str]:
    """The patterns of the configs of a card, each of which finds a file."""
    for config, pattern in _read_configs(card):
        if not any(fnmatch(name, pattern) for name in files):
            raise InputError(
                f"{card} names {pattern!r} for the config {config!r}, and there is no such file: write the folder "
                "again with the command that made it"
            )
        yield pattern


def _read_configs(card: Path) -> list[tuple[str, str]]:
    """Name and pattern of all data files that the front matter of a card names; none without front matter."""
    text = card.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        return []
    try:
        front = yaml.safe_load(text.split("---\n")[1])
        return [
            (str(config["config_name"]), str(file if isinstance(file, str) else file["path"]))
            for config in front["configs"]
            for file in ([config["data_files"]] if isinstance(config["data_files"], str) else config["data_files"])
        ]
    except (yaml.YAMLError, LookupError, TypeError) as exc:
        raise InputError(
            f"the front matter of {card} is not what datagen writes ({' '.join(str(exc).split())}): write the folder "
            "again with the command that made it"
        ) from exc


def _check_secrets(plan: PushPlan, *, allow_keys: bool) -> None:
    own = secret_values(_SHORTEST_SECRET)
    for name in plan.files:
        found = find_keys(plan.folder / name, own, like_keys=not allow_keys)
        if found == OWN:
            raise InputError(
                f"{plan.folder / name} holds the value of a secret of the environment of this machine: take it out of "
                "the input and make the folder again"
            )
        if found:
            raise InputError(
                f"{plan.folder / name} holds what looks like {found}: take it out of the input and make the folder "
                "again, or add --allow-keys where it is an example of a text"
            )


def _link(plan: PushPlan, folder: Path) -> None:
    """A folder of links to the files that are pushed, and to nothing else."""
    try:
        for name in plan.files:
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((plan.folder / name).resolve())
    except OSError as exc:
        raise StorageError(f"cannot write {folder}: {exc.strerror}; name another temporary folder in TMPDIR") from exc
