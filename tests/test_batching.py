"""`datagen export --batches` from a mined run to the trainer of sentence-transformers."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import datagen
from datagen import batching
from datagen.batching import open_batcher
from datagen.cli import app
from datagen.errors import ConfigError
from datagen.formats import BatchOptions, ExportOptions, export_run, ordering, read_batch_options, read_dataset
from datagen.runs import Run

pytest.importorskip("faiss")

TOPICS = ("liver", "heart", "lung", "bone", "skin", "brain")
WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ata", "eno", "iru", "ola", "ude")]
SIZE = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """180 queries of six topics; of every topic the first two queries share a passage, and two passages are copies."""
    home = tmp_path_factory.mktemp("batching")
    random = np.random.default_rng(1)
    rows = []
    for topic in TOPICS:
        for _ in range(30):
            words = " ".join(random.choice(WORDS, 12, replace=False))
            rows.append((f"which {topic} {topic} has {words[:40]}", f"{topic} {topic} {topic} {words}"))
        first = len(rows) - 30
        rows[first + 1] = (rows[first + 1][0], rows[first][1])
        rows[first + 3] = (rows[first + 3][0], rows[first + 2][1] + " indeed")
    return datagen.mine(
        home / "run",
        pairs=pl.DataFrame(rows, schema=["anchor", "positive"], orient="row"),
        cache=str(home / "cache"),
        teacher={"model": "datagen.testing:HashingTeacher"},
        denoise={"reranker": "none"},
        mine={"num_negatives": 2},
    )


@pytest.fixture(autouse=True)
def small_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(ordering, "_ROWS_IN_FILE", 50)


def _export(run: Run, out: Path, name: str = "st-n-tuple", **options: object) -> pl.DataFrame:
    batched = BatchOptions.model_validate({"batch_size": SIZE, **options})
    export_run(run.path, name, out, ExportOptions(rows_per_shard=70), batcher=open_batcher(run.path, batched))
    return pl.read_parquet(out / "train-*.parquet")


@pytest.mark.parametrize("kind", ["cluster", "source"])
def test_no_row_shares_a_batch_with_an_answer_to_its_query(run: Run, kind: str, tmp_path: Path) -> None:
    rows = _export(run, tmp_path / "out", batches=kind)
    assert sorted(rows["anchor"]) == sorted(run.train["query"])
    assert rows["batch"].is_sorted()
    sizes = rows["batch"].value_counts(sort=False).sort("batch")["count"].to_list()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[:35] == [SIZE] * 35
    for batch in rows.partition_by("batch"):
        bare = batch["positive"].str.replace(" indeed", "").to_list()
        negatives = {text for name in batch.columns if name.startswith("negative") for text in batch[name]}
        assert len(set(bare)) == len(bare)
        assert not negatives & set(batch["positive"])


def test_batches_by_cluster_are_of_one_topic_and_those_by_source_are_not(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BATCHES_OF_TOPIC", 7)
    kinds: dict[str, float] = {}
    for kind in ("cluster", "source"):
        rows = _export(run, tmp_path / kind, batches=kind)
        topic = rows.select("batch", topic=pl.col("positive").str.extract(r"^(\w+)"))
        kinds[kind] = float(np.mean(topic.group_by("batch").agg(pl.col("topic").n_unique())["topic"].to_numpy()))
    assert kinds["cluster"] < 1.8
    assert kinds["source"] > 2.5


def test_batches_are_of_one_source(run: Run, tmp_path: Path) -> None:
    class TwoSources(Run):
        def scan(self, table: str) -> pl.LazyFrame:
            found = super().scan(table)
            odd = pl.col("query_id").hash() % 2 if table == "queries" else None
            return found if odd is None else found.with_columns(origin=pl.format("{}", odd))

    batcher = open_batcher(run.path, BatchOptions(batch_size=SIZE))
    split = batching.RunBatcher(TwoSources(run.path, {"settings": run.settings}), batcher.options, batcher.progress)
    export_run(run.path, "st-pair", tmp_path / "out", batcher=split)
    rows = pl.read_parquet(tmp_path / "out" / "*.parquet").rename({"anchor": "query"})
    both = rows.join(run.queries.select("query", odd=pl.col("query_id").hash() % 2), on="query")
    assert both.group_by("batch").agg(pl.col("odd").n_unique())["odd"].max() == 1


def test_each_split_has_batches_of_its_own_and_all_is_the_same_twice(run: Run, tmp_path: Path) -> None:
    options = ExportOptions(split={"train": 0.7, "dev": 0.3})
    for place in ("one", "two"):
        batcher = open_batcher(run.path, BatchOptions(batch_size=SIZE))
        done = export_run(run.path, "st-triplet", tmp_path / place, options, batcher=batcher)
    for split in ("train", "dev"):
        file = f"{split}-00000.parquet"
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        rows = pl.read_parquet(tmp_path / "one" / file)
        assert rows["batch"].unique().sort().to_list() == list(range(rows["batch"].n_unique()))
        made = done.batches[split]
        assert made.full * SIZE + made.rows_in_short == len(rows)
        assert made.full + made.short == rows["batch"].n_unique()
        assert (rows.group_by("batch").agg(pl.col("anchor").is_duplicated().any())["anchor"]).any() is False
        assert f"- {split}: {made.full:,} batches of 4 by cluster" in (tmp_path / "one" / "README.md").read_text()
    assert not (tmp_path / "one" / ".batches").exists()


def test_the_column_is_no_text_for_readers(run: Run, tmp_path: Path) -> None:
    for name in ("st-pair", "st-triplet", "st-n-tuple", "pylate-contrastive"):
        batcher = open_batcher(run.path, BatchOptions(batch_size=SIZE))
        export_run(run.path, name, tmp_path / name, batcher=batcher)
        found = read_dataset(tmp_path / name)
        assert found.format == name
        assert sorted(found.rows["query"]) == sorted(run.train["query"])


def test_a_format_whose_rows_are_not_compared_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'st-labeled-list' cannot stand in batches.*st-pair, st-triplet"):
        export_run(run.path, "st-labeled-list", tmp_path / "out", batcher=open_batcher(run.path))


def test_options_of_batches_are_read_and_refused() -> None:
    assert read_batch_options(batches=None, batch_size=None, seed=3) is None
    assert read_batch_options(batches="source", batch_size=None, seed=3) == BatchOptions(batches="source", seed=3)
    with pytest.raises(ConfigError, match="--batch-size is for batches"):
        read_batch_options(batches=None, batch_size=8)
    with pytest.raises(ConfigError, match="batch_size"):
        read_batch_options(batches="cluster", batch_size=1)


def test_the_command_says_how_many_batches_there_are(run: Run, tmp_path: Path) -> None:
    command = f"export {run.path} --format st-pair --out {tmp_path / 'out'} --batches cluster --batch-size 4"
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 0, done.output
    assert re.search(r"train: \d+ batches of 4 by cluster", done.output)


@pytest.mark.filterwarnings("default")
def test_the_trainer_reads_these_batches_as_the_readme_says(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    st = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from tests.support.tiny_bert import save_tiny_bert

    planned = _export(run, tmp_path / "out")
    page = (root / "README.md").read_text(encoding="utf-8").partition("### Batches")[2]
    code = page.partition("```python\n")[2].partition("```")[0]
    for told, own in (
        ("exports/mine", tmp_path / "out"), ("models/mine", tmp_path / "trainer"), ("size=32", f"size={SIZE}"),
        ('split="train"', f'split="train", cache_dir="{tmp_path / "cache"}"'),
    ):  # fmt: skip
        assert told in code
        code = code.replace(told, str(own))
    (tmp_path / "recipe.py").write_text(code, encoding="utf-8")
    made = runpy.run_path(str(tmp_path / "recipe.py"))
    rows, arguments = made["rows"], made["arguments"]
    arguments.max_steps, arguments.save_steps, arguments.report_to, arguments.disable_tqdm = 2, 2, [], True
    model = st.SentenceTransformer(str(save_tiny_bert(tmp_path / "model")), device="cpu")
    seen: list[tuple[str, ...]] = []
    preprocess = type(model).preprocess

    def listen(self: object, inputs: list[str], *args: object, **kwargs: object) -> object:
        seen.append(tuple(inputs))
        return preprocess(self, inputs, *args, **kwargs)

    monkeypatch.setattr(type(model), "preprocess", listen)
    loss = MultipleNegativesRankingLoss(model)
    trainer = st.SentenceTransformerTrainer(model, arguments, rows, loss=loss)
    assert trainer.train().global_step == 2
    full = {tuple(part["anchor"]) for part in planned.partition_by("batch") if len(part) == SIZE}
    assert len([inputs for inputs in seen if inputs in full]) >= 2


@pytest.fixture
def numbers() -> list[int]:
    return [0, 1, 0, 2, 1, 0, 1]


def test_the_sampler_gives_every_batch_once_in_another_order_each_epoch(numbers: list[int]) -> None:
    pytest.importorskip("sentence_transformers")
    rows = [str(number) for number in numbers]
    sampler = datagen.batch_sampler(numbers)(rows, batch_size=3, drop_last=False, seed=1)
    epochs = []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert all(sorted(epoch) == [[0, 2, 5], [1, 4, 6], [3]] for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) > 1
    assert len(sampler) == 3
    assert sorted(datagen.batch_sampler(numbers)(rows, batch_size=3, drop_last=True)) == [[0, 2, 5], [1, 4, 6]]


def test_the_sampler_refuses_other_rows_and_smaller_batches(numbers: list[int]) -> None:
    pytest.importorskip("sentence_transformers")
    sampler = datagen.batch_sampler(numbers, [0, 0])
    assert list(sampler(["a", "b"], batch_size=3, drop_last=False)) == [[0, 1]]
    with pytest.raises(ConfigError, match="reads 5 rows, and there are batches for 7 and 2"):
        sampler(list("abcde"), batch_size=3, drop_last=False)
    with pytest.raises(ConfigError, match="batches of 3, and the trainer reads 2 at a time"):
        sampler(list("abcdefg"), batch_size=2, drop_last=False)
    with pytest.raises(ConfigError, match="cannot be told apart"):
        datagen.batch_sampler([0], [1])
