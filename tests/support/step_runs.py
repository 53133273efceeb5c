"""Runs of recipes whose rows ask more than one question, over a small corpus, with the server for tests."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datagen import pipeline, shards
from datagen.config import GENERATE_STAGES, RunConfig, build_config
from tests.support.llm_server import Server

TABLES = ("queries", "pairs", "corpus", "dropped", "generations")
NUM = 60
CHOICE, VERDICT = "Kinds of query:", "Does the passage answer the query?"
"""What stands in the questions of either step of the recipe `corpus` and in no other."""
PRICES = (
    "as_of: today\nmodels:\n  openai:test: {input: 1.0, output: 2.0}\n  openai:court: {input: 10.0, output: 20.0}\n"
)
WORDS = "gout malaria fever liver kidney nurse doctor farmer pilot teacher baker dose trial lawyer tax bridge".split()

Values = dict[str, Any]  # Any: settings, counts


@dataclass(frozen=True)
class StepRuns:
    """Runs in one folder, each with a name."""

    folder: Path
    server: Server

    def config(self, name: str = "run", **values: Any) -> RunConfig:  # Any: settings
        """The settings of a run of the recipe `corpus` that ends with `NUM` rows, unless told otherwise."""
        chance, prices = random.Random(1), self.folder / "prices.yaml"
        texts = [f"Report {n}. " + " ".join(chance.choices(WORDS, k=40)) + "." for n in range(80)]
        corpus = self.folder / "corpus.jsonl"
        corpus.write_text("\n".join(json.dumps({"_id": f"d{n}", "text": text}) for n, text in enumerate(texts)))
        prices.write_text(PRICES)
        generate = {"llm": "openai:test", "recipe": "corpus", "num": NUM, "novelty": {"enabled": False}}
        whole: Values = {
            "out": self.folder / name,
            "cache": self.folder / "cache",
            "stages": GENERATE_STAGES,
            "input": {"corpus": str(corpus)},
            "teacher": {"model": "datagen.testing:HashingTeacher"},
            "llm": {"base_url": self.server.url, "prices": prices, **values.pop("limits", {})},
        }
        return build_config({**whole, **values.pop("whole", {}), "generate": {**generate, **values}})

    def run(self, name: str = "run", **values: Any) -> Values:  # Any: settings
        """The counts of the generate stage."""
        return pipeline.run(self.config(name, **values)).records[-1].counts

    def table(self, table: str, name: str = "run") -> pl.DataFrame:
        """A table of a run."""
        return shards.read(self.folder / name / table)

    def same(self, one: str, other: str) -> bool:
        """Whether two runs wrote the same tables."""
        return all(self.table(table, one).equals(self.table(table, other)) for table in TABLES)

    def steps(self, name: str = "run") -> list[Values]:
        """Each accepted row: its slots, and its steps by kind."""
        rows = self.table("generations", name).filter(pl.col("status") == "accepted").iter_rows(named=True)
        return [
            {**row, "slots": json.loads(row["slots"]), **{step["step"]: step for step in json.loads(row["steps"])}}
            for row in rows
        ]

    def command(self, name: str, *options: str) -> list[str]:
        """`datagen generate` with the settings of a run of this name."""
        config = self.config(name)
        values: dict[str, object] = {
            "--corpus": config.input.corpus,
            "--out": config.out,
            "--base-url": self.server.url,
        }
        values |= {"--llm": "openai:test", "--recipe": "corpus", "--num": NUM, "--max-in-flight": 16}
        settings = {"cache": config.cache, "teacher.model": config.teacher.model, "llm.prices": config.llm.prices}
        given = [part for pair in values.items() for part in map(str, pair)]
        given += [f"--set={key}={value}" for key, value in settings.items()]
        return ["generate", "--quiet", *given, "--set=generate.novelty.enabled=false", *options]
