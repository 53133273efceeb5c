"""`datagen canary`: plant what is known to be wrong or right, mine with the user's settings, and count.

The input is cleaned, plants go into a copy of its corpus, the queries they belong to are mined for by the very stages
of `datagen mine-negatives`, all in folders of its own: `input` (cleaned), `planted`, `paraphrases`, `run`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datagen import pipeline, shards, storage
from datagen.backends.protocols import Backends
from datagen.canary.measure import (
    CONFIDENCE,
    Share,
    count_kinds,
    draw_curve,
    judge_natural,
    judge_plants,
    recall_of,
    retention_of,
    suggest_margin,
)
from datagen.canary.planting import MARK, Tables, make_plants, paraphrase_wanted, sample_positives, write_planted
from datagen.canary.plants import ALTERED, KIND_MEANINGS
from datagen.config import GENERATE_STAGES, MINE_STAGES, RunConfig
from datagen.progress import Progress
from datagen.run_folder import RunFolder
from datagen.settings.chunk import ChunkConfig
from datagen.settings.generate import EXTRACTIVE
from datagen.settings.input import InputConfig

SAMPLE = 400
REPORT = "canary.json"
_TABLES = ("corpus", "queries", "pairs")


@dataclass(frozen=True)
class Canary:
    """What the settings do to plants, in two numbers and a row for each kind."""

    recall: Share
    """Of the plants in reach that still answer their query, those that are kept out of the negatives."""
    retention: Share
    """Of the natural hard negatives, those that may be negatives."""
    kinds: pl.DataFrame
    """kind, planted, in_reach, eligible, reasons."""
    judged: pl.DataFrame
    """query_id, doc_id, kind, in_reach, eligible, reason, p_false_negative of each."""
    curve: pl.DataFrame
    """margin, recall, retention, for the policy adaptive; empty for others."""
    path: Path
    """The folder, with the run in `run`."""

    @property
    def suggested(self) -> float | None:
        """The margin that keeps most hard negatives at the recall that is wanted; None where none does."""
        return suggest_margin(self.curve)

    def as_json(self) -> str:
        """The figures, with what they mean."""
        shares = {
            name: {"share": share.value, "low": share.interval[0], "high": share.interval[1], "of": share.of}
            for name, share in (("recall", self.recall), ("retention", self.retention))
            if share.of
        }
        rest = {"kinds": self.kinds.to_dicts(), "curve": self.curve.to_dicts(), "suggested_margin": self.suggested}
        return json.dumps({**shares, "confidence": CONFIDENCE, **rest, "meanings": MEANINGS})


MEANINGS: Mapping[str, str] = {
    "recall": "share of the plants in reach (among the candidates of their query) that are no negatives, over all "
    f"kinds that still answer the query; {ALTERED} is not one of them",
    "retention": "share of natural hard negatives that may be negatives: of the passages near to a query those that "
    "are positives of other queries only, each of which has a word that the query lacks and lacks one that it has",
    ALTERED: "copies that answer wrongly count in neither: by its words no rule can tell one from an edited copy",
    **KIND_MEANINGS,
}


def run_canary(
    config: RunConfig,
    size: int = SAMPLE,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
    backends: Backends | None = None,
) -> Canary:
    """Measure what the settings of mining do to false negatives and to hard negatives of which it is known.

    Known positives are sampled, one plant is made of each (`plants`), and the sampled queries are mined for over the
    corpus with the plants. With `generate.llm` other than extractive half of the plants are paraphrases that it writes,
    under the caps of `generate` and with a journal.

    Args:
        config: the settings of mining; `out` is the folder of the canary, `input` what is planted into: a run that was
            mined gives its tables as they are.
        size: known positives sampled, at most.
        fresh: forget what an earlier call left in the folder.
        progress: shows long steps; silent when None.
        backends: the models; built from the settings when None.

    Raises:
        DatagenError: as a run would; or no query has a known positive.
    """
    around: dict[str, Any] = {"fresh": fresh, "progress": progress, "backends": backends}  # Any: arguments of a run
    tables = _clean(config, around)
    sample = sample_positives(tables, size, config.seed)
    plants = make_plants(sample, _paraphrase(config, sample, around), config.seed)
    planted = write_planted(tables, plants, config.out / "planted")
    stages = tuple(name for name in MINE_STAGES if name not in ("verify", "export"))
    mining = config.model_copy(
        update={"out": config.out / "run", "input": planted, "stages": stages, "chunk": ChunkConfig()}
    )
    result = pipeline.run(mining, **around)
    canary = _measure(result.path / "candidates", tables, plants, config.out)
    storage.write_text(config.out / REPORT, canary.as_json() + "\n")
    return canary


def _clean(config: RunConfig, around: Mapping[str, Any]) -> Tables:  # Any: arguments of a run
    """The tables of the input, cleaned; those of an earlier run as they are."""
    if config.input.run is not None:
        home = Path(config.input.run).expanduser()
        RunFolder(home).read_summary()
    else:
        cleaning = config.model_copy(update={"out": config.out / "input", "stages": ("clean",)})
        home = pipeline.run(cleaning, **around).path
    return Tables(*(home / name for name in _TABLES))


def _paraphrase(config: RunConfig, sample: pl.DataFrame, around: Mapping[str, Any]) -> dict[str, str]:  # Any: see above
    """What the language model says in the place of some of the positives, by document id."""
    if config.generate.llm == EXTRACTIVE:
        return {}
    folder = config.out / "paraphrases"
    passages = paraphrase_wanted(sample).with_columns(origin=pl.lit(MARK))
    shards.write_parts(folder / "passages", "corpus", [passages])
    generate = {"recipe": "paraphrase", "queries_per_passage": 1, "num": None, "judge": None, "two_step": False}
    update = {
        "out": folder / "run",
        "input": InputConfig(corpus=str(folder / "passages")),
        "stages": GENERATE_STAGES,
        "chunk": ChunkConfig(),
        "generate": config.generate.model_copy(update=generate),
    }
    written = pipeline.run(config.model_copy(update=update), **around).path
    queries = shards.read(written / "queries", ["query_id", "query"])
    pairs = shards.read(written / "pairs", ["query_id", "doc_id"])
    return dict(pairs.join(queries, on="query_id").select("doc_id", "query").iter_rows())


def _measure(ledger: Path, tables: Tables, plants: pl.DataFrame, out: Path) -> Canary:
    queries = shards.read(tables.queries, ["query_id", "query"])
    pairs = shards.read(tables.pairs).filter(pl.col("relevance") > 0).select("query_id", "doc_id")
    natural = judge_natural(ledger, queries, pairs, MARK)
    judged = pl.concat([judge_plants(ledger, plants), natural])
    figures = recall_of(judged), retention_of(judged), count_kinds(judged)
    return Canary(*figures, judged, draw_curve(judged), out)
