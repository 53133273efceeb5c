"""The learned margin, fitted: its coefficients, and what it does on sets that it has not seen.

    python -m benchmarks.fit_margin --data FOLDER … [--sparse FOLDER …] [--other FOLDER …] [--out FILE] [--note TEXT]

Each FOLDER has the BEIR layout; those of --data have queries with several positives. Each query shows some of its
positives, several times others (`benchmarks/replays.py`), and the miner measures what a candidate looks like; hidden
positives are what is to be told. Each set has an intercept of its own while the slopes are fitted, because the share
of unmarked positives differs from set to set; the model's is their mean. Printed for each set: the area under the ROC
curve with a model that was fitted on the others, the leak at a few hardnesses under a relative margin (the rule of
sentence-transformers, searched as deep as it needs), under the gap rule (spreads below the positive) and under that
model, and leak @ hardness under a few cuts. Sets of --sparse have one positive a query and hardly an unmarked one: they
tell what few unmarked positives look like, and in their rows how hard the negatives are that remain. Those of --other
are not fitted on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.judged import read_judged
from benchmarks.replays import Float64, Replays, choose_hardest, replay
from datagen.config import RunConfig, build_config
from datagen.selection.doubt import FEATURES, DoubtModel, standardise

HARDNESSES, CUTS = (3.8, 4.5, 5.5), (0.01, 0.02, 0.03, 0.05, 0.1)
QUERIES, _ROWS, _OWN, _SPARSE_WEIGHT = 600, 30_000, 3.0, 0.06
"""Queries and candidates of a set that are looked at, at most, and how freely the sets' own intercepts move; what a
sparse set counts beside one that is judged."""


def main() -> None:
    """Fit on all sets, tell what each left-out one says, write the coefficients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--sparse", nargs="*", type=Path, default=[])
    parser.add_argument("--other", nargs="*", type=Path, default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--note", default="", help="kept with the coefficients, such as the licences of the sets")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    arguments = parser.parse_args()
    config = unused_config(arguments.cache)
    sets, sparse = (replay_all(folders, config) for folders in (arguments.data, arguments.sparse))
    print(_head(), flush=True)
    figures = {}
    for left_out in sets:
        line = _tell(left_out, fit([other for other in sets if other is not left_out], sparse))
        figures[left_out.name] = line
        print(_row(left_out.name, line), flush=True)
    for left_out in sparse:
        line = _tell(left_out, fit(sets, [other for other in sparse if other is not left_out]))
        figures[left_out.name] = line
        print(_row(left_out.name, line), flush=True)
    model = fit(sets, sparse)
    for folder in arguments.other:
        print(_row(folder.name, _tell(replay(read_judged(folder), config, QUERIES), model)), flush=True)
    if arguments.out:
        told = [{"set": each.name, "queries": int(each.first.sum()), "candidates": len(each.rows)} for each in sets]
        provenance = {
            "command": shlex.join(["python", "-m", "benchmarks.fit_margin", *_told_arguments(arguments)]),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "note": arguments.note,
            "sets": told,
            "left_out": figures,
        }
        write_model(model, provenance, arguments.out)


def unused_config(cache: Path) -> RunConfig:
    """Settings of which only teacher and cache count."""
    return build_config({"out": Path("unused"), "cache": cache, "input": {"beir": "unused"}})


def replay_all(folders: Sequence[Path], config: RunConfig) -> list[Replays]:
    """The replays of each set, of `QUERIES` queries at most."""
    return [replay(read_judged(folder), config, QUERIES) for folder in folders]


def fit(sets: Sequence[Replays], sparse: Sequence[Replays]) -> DoubtModel:
    """A model of the hidden positives of some sets, each of which counts the same.

    Args:
        sets: the replays; of a set with many candidates a fixed sample is looked at.
        sparse: replays of sets whose candidates are all taken to be no positives; these count little, as nobody has
            looked whether that is so.
    """
    parts = [_sample(each) for each in (*sets, *sparse)]
    features = np.concatenate([part[0] for part in parts])
    hidden = np.concatenate([part[1] for part in parts])
    number = np.repeat(np.arange(len(parts)), [len(part[1]) for part in parts])
    share = np.where(np.arange(len(parts)) < len(sets), 1.0, _SPARSE_WEIGHT)
    weights = (share * len(number) / share.sum() / np.bincount(number))[number]
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1.0
    standard = standardise(features, centre, scale)
    of_set = np.vstack([np.eye(len(sets)), np.full((len(sparse), len(sets)), 1 / len(sets))])
    own = _OWN * of_set[number]
    fitted = LogisticRegression(C=0.3, max_iter=500).fit(np.hstack([standard, own]), hidden, sample_weight=weights)
    slopes, rest = fitted.coef_[0][: len(FEATURES)], fitted.coef_[0][len(FEATURES) :]
    return DoubtModel(FEATURES, centre, scale, slopes, float(fitted.intercept_[0] + _OWN * rest.mean()))


def leak_at(replays: Replays, doubts: Float64, hardness: Sequence[float]) -> list[float]:
    """The leak of a rule at these hardnesses, between the cuts at which it is measured.

    Args:
        replays: of a set.
        doubts: what the rule puts in order: each query's hardest five below a cut are its negatives.
        hardness: mean log2 rank of the right negatives.
    """
    points = np.array([_measure(replays, doubts <= cut)[1:] for cut in np.quantile(doubts, np.linspace(0.2, 1, 25))])
    order = np.argsort(points[:, 1])
    return [float(x) for x in np.interp(hardness, points[order, 1], points[order, 0])]


def write_model(model: DoubtModel, provenance: dict[str, object], path: Path) -> None:
    """Write the coefficients with where they come from."""
    content = {**model.to_json(), "provenance": provenance}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _sample(replays: Replays) -> tuple[Float64, Float64]:
    some = np.random.default_rng(0).permutation(len(replays.rows))[:_ROWS]
    return replays.features[some], replays.hidden[some].astype(np.float64)


def _measure(replays: Replays, eligible: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[float, float, float]:
    """Share of the replays with five negatives, leak and hardness."""
    chosen = choose_hardest(replays, eligible)
    hidden = replays.hidden[chosen]
    full = np.bincount(replays.rows[chosen], minlength=len(replays.first)) >= 5
    right = replays.log_rank[chosen][~hidden]
    return float(full.mean()), float(hidden.mean()), float(right.mean()) if len(right) else 99.0


def _tell(replays: Replays, model: DoubtModel) -> dict[str, list[float]]:
    dense = replays.first.any()
    first = replays.take(replays.first) if dense else replays
    doubts, gap = model.probabilities(first.features), -first.features[:, FEATURES.index("gap")]
    told: dict[str, list[float]] = {}
    if dense:
        told["auc_gap_and_learned"] = [float(roc_auc_score(first.hidden, each)) for each in (gap, doubts)]
        rules = {"leak_relative": first.nearness, "leak_gap": gap, "leak_learned": doubts}
        told |= {name: leak_at(first, rule, HARDNESSES) for name, rule in rules.items()}
    for cut in CUTS:
        told[f"cut_{cut}"] = list(_measure(first, doubts <= cut))
    return {name: [round(number, 3) for number in numbers] for name, numbers in told.items()}


def _head() -> str:
    cells = ["set", "AUC gap", "AUC", *(f"leak at {hardness}: relative / gap / learned" for hardness in HARDNESSES)]
    cells += [f"cut {cut}: coverage, leak @ hardness" for cut in CUTS]
    return "| " + " | ".join(cells) + " |\n| --- |" + " ---: |" * (len(cells) - 1)


def _row(name: str, told: dict[str, list[float]]) -> str:
    nothing = ["-"] * len(HARDNESSES)
    auc = [f"{each:.3f}" for each in told.get("auc_gap_and_learned", [])] or ["-", "-"]
    rules = zip(*(told.get(f"leak_{rule}", []) for rule in ("relative", "gap", "learned")), strict=True)
    leaks = [" / ".join(f"{leak:.3f}" for leak in each) for each in rules] or nothing
    cuts = ["{:.2f}, {:.3f} @ {:.1f}".format(*told[f"cut_{cut}"]) for cut in CUTS]
    return "| " + " | ".join([name, *auc, *leaks, *cuts]) + " |"


def _told_arguments(arguments: argparse.Namespace) -> list[str]:
    """The sets by their names alone: where they lie says nothing."""
    kinds = {"--data": arguments.data, "--sparse": arguments.sparse, "--other": arguments.other}
    told = [word for kind, folders in kinds.items() if folders for word in (kind, *(folder.name for folder in folders))]
    return [*told, "--out", "datagen/selection/doubt.json"]


if __name__ == "__main__":
    main()
