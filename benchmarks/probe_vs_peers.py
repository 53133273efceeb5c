"""What mined negatives do for a student, datagen's beside those of others: nDCG@10 with intervals.

    python -m benchmarks.probe_vs_peers --data FOLDER [FOLDER …] --out DIR [--steps 100] [--student static] …

Each FOLDER has the BEIR layout and a split of its queries: qrels/train.tsv and qrels/test.tsv, or one qrels and a
split.tsv of query-id and train or test. The train queries are mined with datagen's defaults, and once more for each
--arm NAME SETTING VALUE, such as `--arm milder mine.margin 0.1`. Then `datagen probe` trains an arm each on them and on
the baselines; all are evaluated on the test queries over the whole corpus. All is kept in DIR: the same command goes on
where it was stopped.

`--student static` is a bag of words: the token embeddings of the packaged model, without its layers. It trains many
times faster, and shows what differs between arms where a transformer would take hours.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from benchmarks.judged import read_lines
from datagen import pipeline
from datagen.backends.models import find_model
from datagen.config import build_config, merge
from datagen.console import make_progress, setup_logging
from datagen.probe.loop import probe
from datagen.settings.probe import DEFAULT_BASELINES, ProbeConfig, build_probe_config

MODEL = "packaged:all-MiniLM-L6-v2"
STATIC = "static"


def main() -> None:
    """Mine, train, evaluate and print a Markdown table."""
    arguments = _parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    student = _save_static(arguments.out / STATIC) if arguments.student == STATIC else arguments.student
    config = build_probe_config(
        {
            **{name: getattr(arguments, name) for name in ("steps", "batch_size", "negatives", "learning_rate")},
            "student": student,
            "max_tokens": arguments.max_tokens,
            "seeds": arguments.seeds,
            "baselines": tuple(arguments.baselines),
        }
    )
    print(f"{arguments.student}, {config.model_dump_json(exclude={'student', 'baselines', 'revision'})}\n")
    print("| set | arm | nDCG@10 | over the untrained | datagen's lead | recall@100 | without negatives |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    with setup_logging(quiet=False, log_file=None):
        for folder in arguments.data:
            _probe_set(folder, arguments, config)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--student", default=MODEL, help="a model, or `static`")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--negatives", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument(
        "--arm", nargs=3, action="append", default=[], metavar=("NAME", "SETTING", "VALUE"), help="a setting changed"
    )
    parser.add_argument("--baselines", nargs="+", default=[*DEFAULT_BASELINES, "closed-top-k"])
    parser.add_argument("--reranker", default="maxsim")
    parser.add_argument("--cache", type=Path)
    return parser.parse_args()


def _probe_set(folder: Path, arguments: argparse.Namespace, config: ProbeConfig) -> None:
    out = arguments.out / folder.name
    for split in ("train", "test"):
        _write_split(folder, split, out / split)
    shared = {"cache": arguments.cache or arguments.out / "cache", "denoise": {"reranker": arguments.reranker}}
    _mine(out / "train", out / "run", shared)
    others = {name: out / f"run-{name}" for name, _, _ in arguments.arm}
    for name, setting, value in arguments.arm:
        _mine(out / "train", others[name], merge(shared, _nest(setting, yaml.safe_load(value))))
    found = probe(out / "run", out / "test", config, others, make_progress(quiet=False))
    for row in found.arms.iter_rows(named=True):
        print(_format(folder.name, row), flush=True)


def _mine(beir: Path, out: Path, settings: dict[str, Any]) -> None:  # Any: nested settings
    pipeline.run(build_config(merge({"out": out, "input": {"beir": str(beir)}}, settings)))


def _nest(setting: str, value: object) -> dict[str, Any]:  # Any: nested settings
    section, _, rest = setting.partition(".")
    return {section: _nest(rest, value) if rest else value}


def _write_split(folder: Path, split: str, out: Path) -> None:
    """A BEIR folder with the whole corpus, and the queries of one split with their judgements."""
    if out.exists():
        return
    (out / "qrels").mkdir(parents=True)
    (out / "corpus.jsonl").write_text("".join(read_lines(folder, "corpus.jsonl")), encoding="utf-8")
    header, *judgements = _judgements(folder, split)
    ids = {line.split("\t")[0] for line in judgements}
    queries = [line for line in read_lines(folder, "queries.jsonl") if json.loads(line)["_id"] in ids]
    (out / "queries.jsonl").write_text("".join(queries), encoding="utf-8")
    (out / "qrels" / f"{split}.tsv").write_text("\n".join([header, *judgements, ""]), encoding="utf-8")


def _judgements(folder: Path, split: str) -> list[str]:
    """The header and the lines of a split."""
    own = folder / "qrels" / f"{split}.tsv"
    if own.exists():
        return own.read_text(encoding="utf-8").splitlines()
    rows = (folder / "split.tsv").read_text(encoding="utf-8").splitlines()
    wanted = {query for query, name in (row.split("\t") for row in rows) if name == split}
    header, *lines = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    return [header, *(line for line in lines if line.split("\t")[0] in wanted)]


def _save_static(folder: Path) -> str:
    """A model whose text vector is the mean of the packaged model's token embeddings."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    if not folder.exists():
        packaged = SentenceTransformer(str(find_model(MODEL)), device="cpu")
        weights = packaged[0].auto_model.get_input_embeddings().weight.detach().numpy()  # type: ignore[union-attr,operator]
        tokenizer = packaged.tokenizer.backend_tokenizer
        tokenizer.no_padding()
        SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(
            str(folder)
        )
    return str(folder)


def _format(name: str, row: dict[str, Any]) -> str:  # Any: cells of a table
    differences = [
        "" if row[key] is None else f"{row[key]:+.4f} [{row[f'{key}_low']:+.4f}, {row[f'{key}_high']:+.4f}]"
        for key in ("over_untrained", "lead")
    ]
    cells = [name, row["arm"], f"{row['ndcg']:.4f}", *differences, f"{row['recall']:.4f}", f"{row['filled']:,}"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
