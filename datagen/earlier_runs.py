"""Settings of commands that start from an earlier run: those in its `run.json` with the given ones laid over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datagen.config import MINE_STAGES, STAGE_ORDER, RunConfig, build_config, merge
from datagen.errors import ConfigError
from datagen.run_folder import RunFolder

_NOT_TAKEN_OVER = ("input", "judge")
"""A run that mines again has an input of its own, and spends no money on a judge that it was not told to spend."""


def choose_run(given: dict[str, Any], continued: Path | None, refreshed: Path | None) -> RunConfig:  # Any: unvalidated
    """The settings of `datagen mine-negatives`: of a run that goes on, of one that is mined again, or of a new one.

    Raises:
        ConfigError: a setting is wrong, or does not go with an earlier run.
        RunFolderError: the folder of the earlier run holds none.
    """
    if continued and refreshed:
        raise ConfigError("--run goes on in a folder, --refresh mines one again into another: give one of them")
    if continued:
        return continue_run(continued, given)
    return refresh_run(refreshed, given) if refreshed else build_config({"stages": MINE_STAGES, **given})


def continue_run(run: Path, given: dict[str, Any]) -> RunConfig:  # Any: settings not yet validated
    """The settings of an earlier run with these laid over them, and the mining stages added to its own.

    Raises:
        ConfigError: a setting is wrong, or does not go with an earlier run.
        RunFolderError: the folder holds no run.
    """
    earlier = read_earlier(run, given)
    stages = [name for name in STAGE_ORDER if name in (*earlier.resolved_stages, *MINE_STAGES)]
    return read_earlier(run, {**given, "stages": stages})


def refresh_run(run: Path, given: dict[str, Any], option: str = "--refresh") -> RunConfig:  # Any: not yet validated
    """The settings of an earlier run with these laid over them, to mine its queries again in another folder.

    `option` names the run on the command line.

    Raises:
        ConfigError: a setting is wrong, there is no --out, or an input is given beside the run.
        RunFolderError: the folder holds no run.
    """
    if "input" in given:
        raise ConfigError(f"{option} mines again what a run has mined: leave out the input options")
    if "out" not in given:
        raise ConfigError(f"{option} leaves the earlier run as it is: name a new folder with --out")
    over = {"stages": [name for name in MINE_STAGES if name != "verify"], "input": {"run": str(run)}}
    settings = RunFolder(run).read_summary()["settings"]
    earlier = {name: value for name, value in settings.items() if name not in _NOT_TAKEN_OVER}
    if "model" in given.get("teacher", {}):
        earlier["teacher"] = {**earlier["teacher"], "revision": None}  # a revision is one of the old model
    return build_config(merge(earlier, {**given, **over}))


def read_earlier(run: Path, given: dict[str, Any]) -> RunConfig:  # Any: settings not yet validated
    """The settings of an earlier run with these laid over them, to go on in its folder.

    Raises:
        ConfigError: a setting is wrong, or does not go with an earlier run.
        RunFolderError: the folder holds no run.
    """
    if "out" in given or "input" in given:
        raise ConfigError("--run goes on in a folder with the input it has: leave out --out and the input options")
    return build_config(merge(RunFolder(run).read_summary()["settings"], {**given, "out": run}))
