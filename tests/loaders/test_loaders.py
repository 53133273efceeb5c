"""Exports go through the loaders and collators of the frameworks themselves, in environments of their own."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from datagen.formats import ExportOptions, export_run, read_dataset
from tests.support.exports import INSTRUCTION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What other packages warn of is none of datagen's business.
pytestmark = pytest.mark.filterwarnings("default")

EXPORTED = 11  # of 12 queries, one has no negative
POSITIVES = 14


@pytest.mark.framework("FlagEmbedding")
@pytest.mark.parametrize("scores", [None, "teacher"], ids=["plain", "distillation"])
def test_flag_embedding_loads_and_collates(
    scores: Any,  # Any: literal
    run: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    from FlagEmbedding.abc.finetune.embedder import AbsDataset
    from FlagEmbedding.abc.finetune.embedder.AbsArguments import AbsEmbedderDataArguments

    export_run(run, "flagembedding", tmp_path / "out", ExportOptions(scores=scores, rows_per_shard=6))
    arguments = AbsEmbedderDataArguments(
        train_data=[str(tmp_path / "out")],
        cache_path=str(tmp_path / "cache"),
        train_group_size=4,
        knowledge_distillation=scores is not None,
        query_instruction_for_retrieval="unused",
        query_instruction_format="{}|{}",
    )
    data = AbsDataset.AbsEmbedderTrainDataset(arguments, tokenizer)
    known = _texts(run)
    assert len(data) == EXPORTED
    for query, passages, given in data:
        prompt, _, text = query.partition("|")
        assert prompt in ("", INSTRUCTION)
        assert passages[0] in known[text][0]
        assert set(passages[1:]) <= known[text][1]
        assert (given is None) == (scores is None)
    batch = AbsDataset.AbsEmbedderCollator(tokenizer)([data[place] for place in range(3)])
    assert batch["passages"]["input_ids"].shape[0] == 12

    same = AbsDataset.AbsEmbedderSameDatasetTrainDataset(arguments, 2, 1, tokenizer)
    queries, passages, given, _ = same[0]
    assert (len(queries), len(passages), given is None) == (2, 8, scores is None)


@pytest.mark.framework("pylate")
def test_pylate_collates_distillation(run: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    import datasets
    from pylate import utils

    export_run(run, "pylate-distillation", tmp_path / "out", ExportOptions(rows_per_shard=8))
    train, queries, documents = (
        datasets.load_dataset(str(tmp_path / "out"), name, split="train", cache_dir=str(tmp_path / "cache"))
        for name in ("train", "queries", "documents")
    )
    train.set_transform(utils.KDProcessing(queries=queries, documents=documents).transform)
    known = _texts(run)
    assert len(train) == POSITIVES
    for row in train:
        positives, negatives = known[row["query"]]
        assert row["documents"][0] in positives
        assert set(row["documents"][1:]) <= negatives
        assert row["scores"][0] == max(row["scores"])
    batch = utils.ColBERTCollator(_tokenize_for(tokenizer))([train[place] for place in range(3)])
    assert batch["label"].shape == (3, 5)
    assert batch["documents_input_ids"].shape[0] == 15


@pytest.mark.framework("pylate")
def test_pylate_collates_contrastive(run: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    import datasets
    from pylate import utils

    export_run(run, "pylate-contrastive", tmp_path / "out")
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    batch = utils.ColBERTCollator(_tokenize_for(tokenizer))([rows[place] for place in range(3)])
    names = ["query", "positive", *(f"negative_{place}" for place in range(1, 5))]
    assert {name for name in batch if name.endswith("_input_ids")} == {f"{name}_input_ids" for name in names}


@pytest.mark.framework("tevatron")
def test_tevatron_tokenizes_passages(run: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    import datasets

    preprocessor = _load_file("tevatron", "datasets/preprocessor.py").TrainPreProcessor(tokenizer)
    export_run(run, "tevatron", tmp_path / "out", ExportOptions(scores="teacher", rows_per_shard=6))
    files = [str(path) for path in sorted((tmp_path / "out").glob("*.jsonl"))]
    rows = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    known = _texts(run)
    assert len(rows) == EXPORTED
    for row in rows:
        positives, negatives = known[row["query"]]
        assert {passage["text"] for passage in row["positive_passages"]} == positives
        assert {passage["text"] for passage in row["negative_passages"]} == negatives
    done = rows.map(preprocessor, remove_columns=rows.column_names)
    assert [len(row["positives"]) for row in done][:3] == [3, 2, 1]
    assert [len(row["negatives"]) for row in done][:3] == [4, 4, 2]


@pytest.mark.framework("nemo_automodel")
def test_nemo_resolves_documents_by_id(run: Path, tmp_path: Path) -> None:
    loader = _load_file("nemo_automodel", "components/datasets/llm/retrieval_dataset.py")
    export_run(run, "nemo-automodel", tmp_path / "out", ExportOptions(scores="reranker", rows_per_shard=20))
    rows, corpora = loader.load_datasets([str(tmp_path / "out" / "train.json")])
    known = _texts(run)
    assert len(rows) == EXPORTED
    for row in rows:
        documents = [corpora[row["corpus_id"]].get_document_by_id(item["id"])["text"] for item in row["neg_doc"]]
        assert set(documents) == known[row["question"]][1]


@pytest.mark.framework("nemo_automodel")
def test_nemo_reads_inline_documents(run: Path, tmp_path: Path) -> None:
    loader = _load_file("nemo_automodel", "components/datasets/llm/retrieval_dataset_inline.py")
    export_run(run, "nemo-automodel-inline", tmp_path / "out")
    rows = loader.make_retrieval_dataset([str(tmp_path / "out" / "train-00000.jsonl")], n_passages=3)
    known = _texts(run)
    assert len(rows) == EXPORTED
    for row in rows:
        assert row["doc_text"][0] in known[row["question"]][0]
        assert set(row["doc_text"][1:]) <= known[row["question"]][1]


@pytest.mark.framework("beir")
def test_beir_loads_the_folder(run: Path, tmp_path: Path) -> None:
    from beir.datasets.data_loader import GenericDataLoader

    export_run(run, "beir", tmp_path / "out")
    corpus, queries, qrels = GenericDataLoader(str(tmp_path / "out")).load(split="train")
    assert len(corpus) == 60
    assert len(queries) == 12
    assert set(qrels["query-0"]) == {"parent0#0", "doc/1", "doc/2"}
    assert corpus["doc/1"]["title"] == "Title 1"


@pytest.mark.framework("gpl")
def test_gpl_samples_tuples(run: Path, tmp_path: Path) -> None:
    from beir.datasets.data_loader import GenericDataLoader

    export_run(run, "gpl", tmp_path / "out", ExportOptions(scores="reranker"))
    folder = str(tmp_path / "out")
    corpus, queries, _ = GenericDataLoader(folder, prefix="qgen").load(split="train")
    loader = _load_file("gpl", "toolkit/dataset.py")
    data = loader.HardNegativeDataset(f"{folder}/hard-negatives.jsonl", queries, corpus)
    known = _texts(run)
    assert len(data) == EXPORTED
    for place in range(EXPORTED):
        query, positive, negative = data[place].texts
        assert positive in known[query][0]
        assert negative in known[query][1]
    labelled = loader.GenerativePseudoLabelingDataset(f"{folder}/gpl-training-data.tsv", queries, corpus)
    assert all(labelled[place].label > 0 for place in range(10))


@pytest.mark.framework("colbert")
def test_colbert_reads_triples(run: Path, tmp_path: Path) -> None:
    loaders = _load_file("colbert", "evaluation/loaders.py")
    export_run(run, "colbert", tmp_path / "out")
    collection = loaders.load_collection(str(tmp_path / "out" / "collection.tsv"))
    queries = loaders.load_queries(str(tmp_path / "out" / "queries.tsv"))
    known = _texts(run)
    triples = pl.read_csv(tmp_path / "out" / "triples.jsonl", has_header=False).select(
        pl.all().cast(pl.String).str.strip_chars("[]").cast(pl.Int64)
    )
    assert len(triples) > 40
    for query, positive, negative in triples.iter_rows():
        positives, negatives = known[queries[query]]
        assert collection[positive] in {_one_line(text) for text in positives}
        assert collection[negative] in {_one_line(text) for text in negatives}


def _texts(run: Path) -> dict[str, tuple[set[str], set[str]]]:
    """The texts of the positives and of the negatives of each query."""
    return {
        row["query"]: ({item["text"] for item in row["positives"]}, {item["text"] for item in row["negatives"]})
        for row in read_dataset(run).rows.to_dicts()
    }


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ")


def _tokenize_for(tokenizer: PreTrainedTokenizerFast) -> Any:  # Any: what PyLate takes for its models
    def tokenize(texts: list[str], **settings: object) -> dict[str, Any]:  # Any: tensors
        return dict(tokenizer(texts, padding=True, truncation=True, return_tensors="pt"))

    return tokenize


def _load_file(package: str, file: str) -> types.ModuleType:
    """One module of a package, without the rest, which asks for what reading files does not need."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    path = Path(next(iter(found.submodule_search_locations))) / file
    spec = importlib.util.spec_from_file_location(f"{package}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
