"""One run on disk: which stages are done, where their tables are, and what the person sees of them.

Each stage writes into a folder of its own, which takes its final name only when the stage is done:

    RUN/.stages/.partial-mine-<fingerprint>/candidates/…   while it works
    RUN/.stages/mine/candidates/…, stage.json              when it is done, never changed again

The public tables (RUN/corpus, RUN/candidates, RUN/train …) are second names (hard links) of the files of the
last stage that wrote the table. So a kill at any instant leaves every finished stage whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen import storage
from datagen.errors import RunFolderError
from datagen.tables import FORMAT_VERSION, SCHEMAS
from datagen.version import __version__

log = logging.getLogger(__name__)

OWN_FILES = ("run.json", "report.json", "report.html", "README.md")
Counts = dict[str, Any]  # Any: JSON numbers, texts and small tables of them


@dataclasses.dataclass(frozen=True)
class StageRecord:
    """What is remembered of a finished stage."""

    name: str
    fingerprint: str
    settings: Mapping[str, Any]  # Any: JSON values of many settings
    counts: Counts
    seconds: float


class RunFolder:
    """The stages and tables of one run."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read or written yet."""
        self.path = path
        self.stages = path / ".stages"

    def record(self, stage: str) -> StageRecord | None:
        """What is remembered of a stage, or None when it is not done."""
        file = self.stages / stage / "stage.json"
        return StageRecord(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None

    def partial(self, stage: str, fingerprint: str) -> Path:
        """The folder in which a stage works; parts of the same fingerprint are found there again."""
        folder = self.stages / f".partial-{stage}-{fingerprint}"
        for other in self.stages.glob(f".partial-{stage}-*"):
            if other != folder:
                storage.remove_folder(other)
        storage.make_folder(folder)
        return folder

    def commit(self, record: StageRecord) -> None:
        """Give the work of a stage its final name."""
        folder = self.partial(record.name, record.fingerprint)
        text = json.dumps(dataclasses.asdict(record), indent=1, default=str, ensure_ascii=False)
        storage.write_text(folder / "stage.json", text)
        storage.rename_folder(folder, self.stages / record.name)

    def discard(self, stages: Sequence[str]) -> None:
        """Forget finished stages whose settings have changed."""
        for stage in stages:
            storage.remove_folder(self.stages / stage)

    def table(self, name: str, stages: Sequence[str]) -> Path:
        """The folder of a table as the last of these stages wrote it.

        Raises:
            RunFolderError: none of them wrote it.
        """
        for stage in reversed(stages):
            folder = self.stages / stage / name
            if folder.exists():
                return folder
        raise RunFolderError(
            f"{self.path} holds no table {name!r}: of the stages {', '.join(stages) or '(none)'} none has written it"
        )

    def publish(self, stages: Sequence[str]) -> None:
        """Make the public tables show what these stages wrote, and nothing older."""
        for name in SCHEMAS:
            wanted = self._public_files(name, stages)
            shown = {path.name: path for path in (self.path / name).glob("*")}
            if wanted.keys() != shown.keys() or not all(shown[key].samefile(path) for key, path in wanted.items()):
                self._show(name, wanted)

    def write_summary(
        self,
        config: Mapping[str, Any],  # Any: JSON settings
        stages: Sequence[str],
        made_with: Mapping[str, Any] | None = None,  # Any: JSON texts
    ) -> None:
        """Write `run.json`: resolved settings, what each stage did, and packages and models once they are known."""
        records = [record for name in stages if (record := self.record(name))]
        summary = {
            "format": FORMAT_VERSION,
            "datagen": __version__,
            "settings": config,
            "stages": {record.name: dataclasses.asdict(record) for record in records},
            **({"made_with": made_with} if made_with else {}),
        }
        storage.write_text(self.path / "run.json", json.dumps(summary, indent=1, default=str, ensure_ascii=False))

    def summary(self) -> dict[str, Any] | None:  # Any: JSON settings
        """What `run.json` holds, or None when there is none.

        Raises:
            RunFolderError: the file is not ours.
        """
        file = self.path / "run.json"
        if not file.exists():
            return None
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as exc:
            raise RunFolderError(f"{file} is not a run summary of datagen: move it away or use another folder") from exc

    def read_summary(self) -> dict[str, Any]:  # Any: JSON settings
        """What `run.json` holds.

        Raises:
            RunFolderError: there is none, or it is not ours.
        """
        summary = self.summary()
        if summary is None:
            raise RunFolderError(f"{self.path} holds no run.json: name the folder of a run, --out of an earlier run")
        return summary

    def _public_files(self, name: str, stages: Sequence[str]) -> dict[str, Path]:
        writers = [stage for stage in stages if (self.stages / stage / name).exists()]
        sources = writers if name == "dropped" else writers[-1:]
        return {path.name: path for stage in sources for path in sorted((self.stages / stage / name).glob("*"))}

    def _show(self, name: str, files: Mapping[str, Path]) -> None:
        fresh = self.stages / f".public-{name}"
        storage.remove_folder(fresh)
        storage.make_folder(fresh)
        for key, source in files.items():
            storage.link_file(source, fresh / key)
        if files:
            storage.rename_folder(fresh, self.path / name)
        else:
            storage.remove_folder(fresh)
            storage.remove_folder(self.path / name)


@contextlib.contextmanager
def open_run(path: Path, *, fresh: bool = False) -> Iterator[RunFolder]:
    """A run folder that no other process uses, checked to be ours and of this version.

    Args:
        path: the folder; made when it is not there.
        fresh: remove all that datagen made there before (nothing else is touched).

    Raises:
        RunFolderError: it is a file, somebody else's folder, in use, or of another version.
        StorageError: it cannot be made or written.
    """
    _check_is_ours(path)
    storage.make_folder(path)
    with _locked(path):
        folder = RunFolder(path)
        if fresh:
            _empty(folder)
        _check_version(folder)
        storage.make_folder(folder.stages)
        yield folder


def _check_is_ours(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"the run folder {path} is a file: name a folder that is new or holds an earlier run")
    foreign = path.exists() and any(path.iterdir()) and not (path / ".stages").exists()
    if foreign and not (path / "run.json").exists():
        raise RunFolderError(f"{path} holds files that datagen did not make: name a folder that is new or empty")


def _check_version(folder: RunFolder) -> None:
    summary = folder.summary() or {}
    made_by = (summary.get("format", FORMAT_VERSION), summary.get("datagen", __version__))
    if made_by != (FORMAT_VERSION, __version__):
        raise RunFolderError(
            f"{folder.path} was made by datagen {made_by[1]} (format {made_by[0]}), this is {__version__} "
            f"(format {FORMAT_VERSION}): use that version, another --out, or --fresh to start over"
        )


def _empty(folder: RunFolder) -> None:
    log.info("--fresh: removing the earlier run in %s", folder.path)
    for name in (*SCHEMAS, ".stages"):
        storage.remove_folder(folder.path / name)
    for name in OWN_FILES:
        (folder.path / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with storage.guard_disk(path), (path / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise RunFolderError(f"{path} is in use by another datagen process: wait for it or use another") from exc
        yield
