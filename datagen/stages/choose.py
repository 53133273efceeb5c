"""Choose: which of the eligible candidates become the negatives of a query, and how hard each of them is.

Nothing is searched or scored here: another way to choose costs a pass over the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Int64
from datagen.config import RunConfig, StageName
from datagen.mining.lineup import Lining, NamedVectors, open_lining, open_named_vectors, order_settings
from datagen.report.ledger import count_ledger
from datagen.run_folder import Counts
from datagen.selection.arrays import Bool, UInt64
from datagen.selection.choice import LineUp, Tier, choose_first, join_lines
from datagen.selection.diversity import diversify
from datagen.selection.hubs import choose_within, claims
from datagen.settings.choice import ChoiceConfig
from datagen.stages.base import Work
from datagen.storage import make_folder
from datagen.tables import DECISION_NEGATIVE

_COLUMNS = ["query_id", "doc_id", "teacher_score", "reranker_score", "judge_grade", "reason"]


class Choose:
    """Reads the ledger; writes it again with final decisions."""

    name: StageName = "choose"
    reads = ("candidates", "corpus", "queries")
    writes = ("candidates",)

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """How many are chosen, and how."""
        choice = config.mine.choice
        return {**order_settings(config), "diversity": choice.diversity, "hub_cap": choice.hub_cap}

    def run(self, work: Work) -> Counts:
        """Choose and write; negatives, of each tier too, queries short, score quantiles, and the hubs among them."""
        clerk = _open_clerk(work)
        parts = sorted(work.source("candidates").glob("*.parquet"))
        folder = work.partial / "candidates"
        make_folder(folder)
        missing = [path for path in parts if not (folder / path.name).exists()]
        capped = clerk.choose_within_cap(parts) if missing and clerk.config.hub_cap else {}
        with work.progress.step("choose", len(missing), "parts") as advance:
            for path in missing:
                ledger = pl.read_parquet(path, glob=False)
                chosen = capped[path.name] if capped else clerk.choose(ledger)
                shards.write_part(folder / path.name, "candidates", _decided(ledger, chosen))
                advance(1)
        n_documents = shards.count_rows(work.source("corpus"))
        n_queries = shards.count_rows(work.source("queries"))
        return count_ledger(folder, n_queries, work.config.mine.needs, n_documents)


@dataclass(frozen=True)
class Chosen:
    """Rows of a part of the ledger that become negatives, and how hard each is."""

    places: Int64
    tiers: Int64


@dataclass(frozen=True)
class Clerk:
    """What every part of the ledger is decided with."""

    config: ChoiceConfig
    lining: Lining
    reranked: bool
    """Whether only candidates that a reranker has scored, or a judge graded, may be taken."""
    vectors: NamedVectors | None
    """Where the lists are to be diverse."""

    def choose(self, ledger: pl.DataFrame) -> Chosen:
        """The negatives of a part, each query by itself."""
        line = self.line_up(ledger)
        return _chosen(line, choose_first(line))

    def line_up(self, ledger: pl.DataFrame) -> LineUp:
        """The candidates of a part that may be taken, in the order in which they are."""
        line = self.lining.line_up(ledger)
        line = line.take(np.flatnonzero(self._allowed(ledger)[line.places]))
        vectors = self.vectors
        if vectors is None:
            return line
        doc_ids, scores = ledger["doc_id"].gather(line.places), ledger["teacher_score"].to_numpy()[line.places]
        return diversify(
            line, scores, lambda asked: vectors.take(doc_ids.gather(asked)), self.config.diversity, self.config.pool
        )

    def choose_within_cap(self, parts: list[Path]) -> dict[str, Chosen]:
        """The negatives of all parts, by the name of the part, with no document in more lists than the cap."""
        lines: list[LineUp] = []
        documents: list[pl.Series] = []
        found: list[UInt64] = []
        for path in parts:
            ledger = pl.read_parquet(path, columns=_COLUMNS, glob=False)
            line = self.line_up(ledger)
            rows = ledger[line.places]
            lines.append(line)
            documents.append(rows["doc_id"])
            found.append(claims(line, self.lining.keys(rows)))
        numbers = pl.concat(documents).rank("dense").cast(pl.Int64).to_numpy() - 1
        cap = self.config.hub_cap or 1
        taken = choose_within(join_lines(lines), numbers, np.concatenate(found), cap)
        edges = np.cumsum([len(line.rows) for line in lines])[:-1]
        return {
            path.name: _chosen(line, flags)
            for path, line, flags in zip(parts, lines, np.split(taken, edges), strict=True)
        }

    def _allowed(self, ledger: pl.DataFrame) -> Bool:
        allowed = ledger["reason"].eq("surplus")
        seen = ledger["reranker_score"].is_not_null() | ledger["judge_grade"].is_not_null()
        return (allowed & seen if self.reranked else allowed).to_numpy()


def _open_clerk(work: Work) -> Clerk:
    choice = work.config.mine.choice
    around = (work.config, work.backends, work.progress, work.source)
    vectors = open_named_vectors(*around) if choice.diversity else None
    return Clerk(choice, open_lining(*around), "denoise" in work.before, vectors)


def _chosen(line: LineUp, flags: Bool) -> Chosen:
    return Chosen(line.places[flags], line.tiers[flags].astype(np.int64))


def _decided(ledger: pl.DataFrame, chosen: Chosen) -> pl.DataFrame:
    """The ledger with the chosen rows as negatives."""
    flags = np.zeros(len(ledger), bool)
    flags[chosen.places] = True
    codes = np.zeros(len(ledger), np.int64)
    codes[chosen.places] = chosen.tiers
    tiers = pl.Series([tier.label for tier in Tier]).gather(codes)
    taken = pl.lit(pl.Series(flags))
    return ledger.with_columns(
        decision=pl.when(taken).then(pl.lit(DECISION_NEGATIVE)).otherwise("decision"),
        reason=pl.when(taken).then(pl.lit("selected")).otherwise("reason"),
        tier=pl.when(taken).then(tiers),
    )
