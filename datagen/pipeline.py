"""READ FIRST. The stages in order, what each reads and writes, and the loop that runs them.

    stage      reads                        writes                         needs
    clean      the user's files, or a run   corpus, queries, pairs, dropped
    brainstorm -                            tasks                          LLM
    generate   corpus, queries, pairs, tasks  the same with what is new    LLM
    embed      corpus, queries              (vectors, in the cache)        teacher
    verify     corpus, queries, pairs       queries, pairs, dropped        teacher vectors, index
    calibrate  those, labels                calibration                    teacher vectors, index (the reranker)
    mine       those, dropped               candidates (the ledger), margins  teacher vectors, index
    denoise    ledger, corpus, queries      candidates, reranker scores    reranker
    judge      ledger, margins, corpus, queries  candidates, judgements, dropped  LLM
    choose     ledger                       candidates, final decisions    (document vectors, where asked for)
    export     all of them                  train                          -

A stage is done again when its own settings, or anything before it, have changed; otherwise it is kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.backends.made_with import tell_made_with
from datagen.backends.protocols import Backends
from datagen.backends.registry import Registry
from datagen.config import STAGE_ORDER, RunConfig, StageName, fingerprint
from datagen.errors import RunFolderError
from datagen.generation.recipes.load import load_recipe
from datagen.progress import Progress, SilentProgress
from datagen.report.card import write_report
from datagen.run_folder import Counts, RunFolder, StageRecord, open_run
from datagen.run_page import try_page
from datagen.settings.generate import EXTRACTIVE
from datagen.stages.base import Stage, Surroundings, Work
from datagen.stages.brainstorm import Brainstorm
from datagen.stages.calibrate import Calibrate
from datagen.stages.choose import Choose
from datagen.stages.clean import Clean
from datagen.stages.denoise import Denoise
from datagen.stages.embed import Embed
from datagen.stages.export import Export
from datagen.stages.generate import Generate
from datagen.stages.judge import Judge
from datagen.stages.mine import Mine
from datagen.stages.verify import Verify
from datagen.tables import FORMAT_VERSION

log = logging.getLogger(__name__)

STAGES: tuple[Stage, ...] = (
    Clean(),
    Brainstorm(),
    Generate(),
    Embed(),
    Verify(),
    Calibrate(),
    Mine(),
    Denoise(),
    Judge(),
    Choose(),
    Export(),
)


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder and what each stage counted."""

    path: Path
    records: tuple[StageRecord, ...]


def run(
    config: RunConfig,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
    backends: Backends | None = None,
    read_again: bool = False,
    until: StageName | None = None,
) -> RunResult:
    """Run the stages of a configuration, going on where an earlier call was stopped.

    Args:
        config: the resolved settings.
        fresh: remove what an earlier run left in the folder first.
        progress: shows long steps; silent when None.
        backends: the models; built from the settings when None.
        read_again: redo what language models answered from their kept answers alone, and all that follows from it.
        until: stop after this stage, as a call does that is interrupted there.

    Raises:
        DatagenError: what is wrong and what to do; all finished work is kept.
    """
    backends = backends or Registry(config)
    stages = stage_chain(config, until)
    with open_run(config.out, fresh=fresh) as folder, contextlib.closing(backends):
        prints = _plan(stages, config, backends, folder)
        if read_again:
            folder.discard(STAGE_ORDER[STAGE_ORDER.index("brainstorm") :])
        folder.publish(_done(folder))
        for stage in stages:
            if not folder.record(stage.name) and not (read_again and stage.name in ("brainstorm", "generate", "judge")):
                backends.check(stage.name)
        around = Surroundings(config, backends, progress or SilentProgress(), folder, journal_only=read_again)
        for stage in stages:
            if folder.record(stage.name):
                log.info("%s: done before, kept", stage.name)
            else:
                _run_stage(stage, prints[stage.name], around)
                folder.publish(_done(folder))
            folder.write_summary(config.model_dump(mode="json"), _done(folder))
        folder.write_summary(config.model_dump(mode="json"), _done(folder), tell_made_with(config))
        write_report(folder, _done(folder), config)
        if config.page:
            try_page(folder.path)
        records = tuple(record for name in _done(folder) if (record := folder.record(name)))
    return RunResult(config.out, records)


def find_counts(config: RunConfig, backends: Backends, name: StageName) -> Counts | None:
    """What a stage counted that a run of these settings would keep as it is; None where it would run."""
    record = RunFolder(config.out).record(name)
    wanted = _fingerprints(stage_chain(config), config, backends).get(name)
    return record.counts if record and wanted and record.fingerprint == wanted[0] else None


def stage_chain(config: RunConfig, until: StageName | None = None) -> list[Stage]:
    """The stages that a run of these settings goes through, in order, up to and with `until`."""
    wanted = set(config.resolved_stages[: 1 + config.resolved_stages.index(until)] if until else config.resolved_stages)
    if not config.denoise.enabled:
        wanted.discard("denoise")
    if not config.calibration.enabled:
        wanted.discard("calibrate")
    if not config.judge.enabled:
        wanted.discard("judge")
    if not config.verify.applies(generated="generate" in config.resolved_stages):
        wanted.discard("verify")
    if wanted & {"brainstorm"} and not _has_brainstorm(config):
        wanted.discard("brainstorm")
    return [stage for stage in STAGES if stage.name in wanted]


def _has_brainstorm(config: RunConfig) -> bool:
    """Whether the recipe writes for tasks; where that alone was asked for, the stage says that there is none."""
    generate = config.generate
    if generate.resolved_recipe == EXTRACTIVE:
        return False
    return "generate" not in config.resolved_stages or (
        load_recipe(generate.resolved_recipe, generate.prompts).brainstorm is not None
    )


def _done(folder: RunFolder) -> list[str]:
    return [name for name in STAGE_ORDER if folder.record(name)]


def _plan(stages: Sequence[Stage], config: RunConfig, backends: Backends, folder: RunFolder) -> dict[StageName, str]:
    """The fingerprint of each stage; finished stages that it makes stale are forgotten, with a word why."""
    told = _fingerprints(stages, config, backends)
    prints = {name: print_ for name, (print_, _) in told.items()}
    for name, (print_, settings) in told.items():
        record = folder.record(name)
        if record and record.fingerprint != print_:
            _explain_redo(folder, record, settings)
            folder.discard(STAGE_ORDER[STAGE_ORDER.index(name) :])
    last = STAGE_ORDER.index(stages[-1].name)
    folder.discard([name for name in STAGE_ORDER[:last] if name not in prints])
    return prints


def _fingerprints(
    stages: Sequence[Stage], config: RunConfig, backends: Backends
) -> dict[StageName, tuple[str, dict[str, Any]]]:  # Any: JSON values
    """The fingerprint of each stage, of its own settings and of all stages before it, and these settings."""
    told: dict[StageName, tuple[str, dict[str, Any]]] = {}  # Any: JSON values
    for stage in stages:
        settings = _settings(stage, config, backends)
        before = [print_ for print_, _ in told.values()]
        told[stage.name] = fingerprint(FORMAT_VERSION, stage.name, settings, before), settings
    return told


def _settings(stage: Stage, config: RunConfig, backends: Backends) -> dict[str, Any]:  # Any: JSON values
    plain = json.loads(json.dumps(dict(stage.settings(config, backends)), default=str))
    return dict(plain)


def _explain_redo(folder: RunFolder, record: StageRecord, settings: dict[str, Any]) -> None:  # Any: JSON values
    changed = {key for key in {*settings, *record.settings} if settings.get(key) != record.settings.get(key)}
    if "input" in changed:
        raise RunFolderError(
            f"{folder.path} holds a run over other input ({record.settings.get('input')}, now "
            f"{settings.get('input')}): name another --out, or add --fresh to start over"
        )
    for key in sorted(changed):
        log.info("%s is done again: %s was %r, now %r", record.name, key, record.settings.get(key), settings.get(key))


def _run_stage(stage: Stage, print_: str, around: Surroundings) -> None:
    before = [name for name in _done(around.folder) if STAGE_ORDER.index(name) < STAGE_ORDER.index(stage.name)]
    work = Work(stage.name, around, before, around.folder.partial(stage.name, print_))
    started = time.monotonic()
    counts = stage.run(work)
    seconds = round(time.monotonic() - started, 3)
    around.folder.commit(
        StageRecord(stage.name, print_, _settings(stage, around.config, around.backends), counts, seconds)
    )
    log.info("%s: done in %.1f s", stage.name, seconds)
