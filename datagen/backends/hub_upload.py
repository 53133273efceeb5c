"""A folder of files as a dataset on the Hugging Face hub: the one place that writes there.

All errors of the client become ours here, and none of them holds the token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import disable_progress_bars, validate_repo_id  # type: ignore[attr-defined]  # are public
from huggingface_hub.utils.logging import set_verbosity_error
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from datagen.errors import BackendError, ConfigError, ThrottledError, first_line
from datagen.version import __version__

log = logging.getLogger(__name__)

VARIABLE = "HF_TOKEN"
"""The environment variable that holds the token."""
ATTEMPTS = 4
_DATASET = "dataset"
_PASSING = (408, 412)
"""A request that took too long, and a commit on top of one that is no more the newest."""
# The client's own network errors descend from the first of these with one HTTP library and from OSError with another;
# RuntimeError is what it raises for a large file that did not arrive.
_FAILURES: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, OSError, RuntimeError, ValueError)

T = TypeVar("T")


@dataclass(frozen=True)
class Uploaded:
    """What the hub says of an upload: the page of the commit, and whether there was anything new to commit."""

    url: str
    changed: bool


@dataclass(frozen=True)
class HubDataset:
    """One dataset on the hub, and how it is reached."""

    repo: str
    """NAME or OWNER/NAME."""
    token: str
    revision: str | None = None
    """The branch; made when it is not there."""
    first_wait_seconds: float = 1.0
    """Before a failed step is tried again; twice as long each time."""

    def upload(self, folder: Path, *, private: bool, owned: Sequence[str]) -> Uploaded:
        """Make the dataset show the files of a folder; what it has already is not sent again.

        Args:
            folder: all files in it are sent.
            private: the dataset is made private when it is new, and must be private when it is not.
            owned: patterns of files that are deleted there unless the folder has them.

        Raises:
            ConfigError: the dataset is public and `private` is asked for.
            BackendError: the hub cannot be reached, refuses the token or the files, or is busy.
        """
        set_verbosity_error()  # type: ignore[no-untyped-call]  # what it warns of is told here, once
        api = HfApi(token=self.token)
        repo = self._retried(
            lambda: api.create_repo(self.repo, repo_type=_DATASET, private=private, exist_ok=True)
        ).repo_id
        if private and not self._retried(lambda: api.repo_info(repo, repo_type=_DATASET)).private:
            raise ConfigError(
                f"the dataset {repo!r} is there already and everybody can read it: add --public if that is meant, make "
                "it private there, or name another one"
            )
        if self.revision is not None:
            self._retried(lambda: self._make_branch(api, repo))
        return self._retried(lambda: self._send(api, repo, folder, owned))

    def _send(self, api: HfApi, repo: str, folder: Path, owned: Sequence[str]) -> Uploaded:
        """Commit what is new, on top of what is there now: a commit whose answer was lost is not made twice."""
        before = api.repo_info(repo, repo_type=_DATASET, revision=self.revision)
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            repo_type=_DATASET,
            revision=self.revision,
            commit_message=f"Written by datagen {__version__}",
            delete_patterns=list(owned),
            parent_commit=before.sha,
        )
        return Uploaded(done.commit_url, done.oid != before.sha)

    def _make_branch(self, api: HfApi, repo: str) -> None:
        if self.revision and not self.revision.startswith("refs/"):
            api.create_branch(repo, branch=self.revision, repo_type=_DATASET, exist_ok=True)

    def _retried(self, step: Callable[[], T]) -> T:
        """What a step gives; one that fails for a reason that passes is tried again."""
        attempts = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(self.first_wait_seconds, max=30),
            retry=retry_if_exception(lambda exc: isinstance(exc, BackendError) and exc.retryable),
            before_sleep=_tell_wait,
            reraise=True,
        )
        result: T = attempts(self._guarded, step)
        return result

    def _guarded(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except HfHubHTTPError as exc:
            raise self._explain(exc) from exc
        except OfflineModeIsEnabled as exc:
            raise BackendError(
                "nothing can be pushed while HF_HUB_OFFLINE is set: unset it, or look with --dry-run"
            ) from exc
        except _FAILURES as exc:
            raise BackendError(
                f"the push to {self.repo!r} was broken off ({self._redact(first_line(exc))}): check the network and "
                "run the same command again, it goes on with what is missing",
                retryable=not isinstance(exc, ValueError),
            ) from exc

    def _explain(self, exc: HfHubHTTPError) -> BackendError:
        """Our error for a status that the hub answers with."""
        status = exc.response.status_code
        said = self._redact(exc.server_message or first_line(exc))
        if status == 401:
            return BackendError(
                f"the hub does not accept the token in {VARIABLE} (401): make a new one with write access"
            )
        if status == 403:
            return BackendError(
                f"the token in {VARIABLE} may not write to the dataset {self.repo!r} (403, {said}): give it write "
                "access, or name a dataset of your own"
            )
        if status == 429:
            return ThrottledError(f"the hub asks for fewer requests (429, {said}): run the same command again later")
        if status >= 500 or status in _PASSING:
            return BackendError(
                f"the hub is not well ({status}, {said}): run the same command again later, it goes on with what is "
                "missing",
                retryable=True,
            )
        return BackendError(
            f"the hub refuses the push to {self.repo!r} ({status}, {said}): check the names of dataset and revision"
        )

    def _redact(self, text: str) -> str:
        return text.replace(self.token, "***")


def check_repo(repo: str) -> None:
    """Refuse what can be no name of a dataset, before anything is asked.

    Raises:
        ConfigError: says what a name is.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as exc:
        raise ConfigError(
            f"{repo!r} is no name of a dataset: give NAME or OWNER/NAME of letters, digits, `-`, `_` and `.`"
        ) from exc


def silence() -> None:
    """Let the client draw no progress bars."""
    disable_progress_bars()


def _tell_wait(state: RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    log.warning("%s; trying again", first_line(failure) if failure else "")
