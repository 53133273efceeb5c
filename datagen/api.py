"""The commands as Python functions: `datagen.mine(...)`, `datagen.generate(...)`, `datagen.load_run(...)`.

Input is what the commands take, or a frame: anything that polars reads as one (polars, pyarrow, pandas).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from datagen import pipeline
from datagen.config import GENERATE_STAGES, RunConfig, build_config, default_cache, merge
from datagen.console import make_progress
from datagen.earlier_runs import choose_run
from datagen.errors import ConfigError
from datagen.runs import Run, load_run
from datagen.storage import replacing

if TYPE_CHECKING:
    from datagen.backends.batch_sampler_st import Planner

__all__ = ["batch_sampler", "generate", "load_run", "mine"]

Rows: TypeAlias = Any  # Any: a path, a dataset id, or whatever polars makes a frame of
Section: TypeAlias = Any  # Any: a value, or a section of settings as in YAML, not yet validated


def mine(
    out: str | Path | None = None,
    *,
    beir: str | Path | None = None,
    corpus: Rows = None,
    queries: Rows = None,
    qrels: Rows = None,
    pairs: Rows = None,
    run: str | Path | None = None,
    fresh: bool = False,
    quiet: bool = True,
    **settings: Section,
) -> Run:
    """Mine hard negatives, as `datagen mine-negatives` does; a call that was stopped goes on when it is made again.

        run = datagen.mine("runs/mine", pairs=frame, teacher={"model": "my/model"}, mine={"num_negatives": 7})
        run.train

    Args:
        out: the run folder.
        beir: folder with corpus.jsonl, queries.jsonl and qrels.
        corpus: passages: a frame, file, dataset folder or dataset id.
        queries: likewise.
        qrels: query id, document id and score, likewise.
        pairs: a query and a positive a row, likewise.
        run: go on in a folder that `generate` made, instead of `out` and an input.
        fresh: remove what an earlier run left in the folder first.
        quiet: show no progress.
        settings: all else, named as in a YAML file: `seed=7`, or a section such as `mine={"margin": 0.1}`.

    Raises:
        DatagenError: what is wrong and what to do; all finished work is kept.
    """
    given = _given(out, {"beir": beir, "corpus": corpus, "queries": queries, "qrels": qrels, "pairs": pairs}, settings)
    return _run(choose_run(given, None if run is None else Path(run), None), fresh=fresh, quiet=quiet)


def generate(
    out: str | Path,
    *,
    corpus: Rows = None,
    beir: str | Path | None = None,
    pairs: Rows = None,
    fresh: bool = False,
    quiet: bool = True,
    **settings: Section,
) -> Run:
    """Write queries for passages, as `datagen generate` does; `mine(run=…)` goes on in the same folder.

        run = datagen.generate("runs/llm", corpus="docs.parquet", generate={"llm": "openai:my-model", "num": 1000})
        datagen.mine(run=run.path)

    Args:
        out: the run folder.
        corpus: passages: a frame, file, dataset folder or dataset id.
        beir: folder with corpus.jsonl, queries.jsonl and qrels.
        pairs: a query and a positive a row: a frame, file, dataset folder or dataset id.
        fresh: remove what an earlier run left in the folder first.
        quiet: show no progress.
        settings: all else, named as in a YAML file: `seed=7`, or a section such as `llm={"base_url": "…"}`.

    Raises:
        DatagenError: what is wrong and what to do; all finished work is kept.
    """
    given = _given(out, {"corpus": corpus, "beir": beir, "pairs": pairs}, settings)
    return _run(build_config({"stages": GENERATE_STAGES, **given}), fresh=fresh, quiet=quiet)


def batch_sampler(*batches: Iterable[int]) -> Planner:
    """The `batch_sampler` with which a trainer of sentence-transformers reads the batches of an export.

        rows = load_dataset("parquet", data_dir="exports/mine", split="train")
        SentenceTransformerTrainingArguments(..., batch_sampler=datagen.batch_sampler(rows["batch"]))

    The order of the batches is another in each epoch. The trainer must be given the rows without the column `batch`,
    which it would train on as a text.

    Args:
        batches: the column `batch` of the rows that are trained on, and of those evaluated on where there are some;
            they are told apart by their lengths.

    Raises:
        ConfigError: two columns are of the same length; later, from the trainer: its rows are not those, or its batch
            size is smaller than that of the export.
    """
    from datagen.backends.batch_sampler_st import make_planner

    return make_planner([list(column) for column in batches])


def _run(config: RunConfig, *, fresh: bool, quiet: bool) -> Run:
    return load_run(pipeline.run(config, fresh=fresh, progress=make_progress(quiet)).path)


def _given(
    out: str | Path | None, rows: Mapping[str, Rows], settings: dict[str, Section]
) -> dict[str, Any]:  # Any: settings not yet validated
    """The settings of a call; frames among the input become files in the cache."""
    cache = Path(settings.get("cache") or default_cache())
    given = {name: _as_path(name, value, cache) for name, value in rows.items() if value is not None}
    named = {} if out is None else {"out": str(out)}
    return merge(settings, {**named, **({"input": given} if given else {})})


def _as_path(name: str, rows: Rows, cache: Path) -> str:
    """Where the rows are: as named, or, for a frame, in a file under the hash of what it holds."""
    if isinstance(rows, str | Path):
        return str(rows)
    try:
        frame = pl.DataFrame(rows)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as exc:
        raise ConfigError(f"{name} is a {type(rows).__name__}: give a path, a dataset id or a frame") from exc
    content = frame.serialize()
    path = cache / "frames" / f"{hashlib.blake2b(content, digest_size=12).hexdigest()}.parquet"
    if not path.exists():
        with replacing(path) as temporary:
            frame.write_parquet(temporary)
    return str(path)
