"""What the cards of runs and of their exports have in common: how the data came about, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml

from datagen.config import RunConfig, build_config
from datagen.report.judged import judge_line
from datagen.report.promise import tell_promise
from datagen.run_folder import RunFolder, StageRecord
from datagen.settings.generate import EXTRACTIVE
from datagen.version import __version__

CHECKS = ("audit", "canary", "probe")
"""Folders in a run in which checks of it leave `NAME.json`."""
_REASONS_SHOWN = 6
_NOT_LOST = ("surplus", "selected", "known_positive")


class Row(NamedTuple):
    """A line of a table: what, its value, and a remark."""

    what: str
    value: str
    remark: str = ""


class Yield(NamedTuple):
    """What one stage kept, and why not the rest."""

    stage: str
    of: str
    given: int
    kept: int
    lost: str


def describe_run(run: Path) -> str:
    """What `describe_provenance` says of a run folder; of one that another version made, that its own card says it.

    Raises:
        RunFolderError: the folder holds no run.
    """
    summary = RunFolder(run).read_summary()
    if summary["datagen"] != __version__:
        return f"The run {run.name} was made with datagen {summary['datagen']}: its own card says how.\n"
    records = [StageRecord(**record) for record in summary["stages"].values()]
    return describe_provenance(run, build_config(summary["settings"]), records, summary.get("made_with", {}))


def make_environment() -> jinja2.Environment:
    """The templates of the cards; `cell` makes a text fit into a table."""
    loader = jinja2.PackageLoader("datagen", "report")
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["cell"] = _cell
    return environment


def describe_provenance(
    run: Path,
    config: RunConfig,
    records: Sequence[StageRecord],
    made_with: Mapping[str, Any],  # Any: JSON texts
) -> str:
    """Recipe, models, prompts, thresholds, yields, measured rates, test sets and how to make it again, as Markdown.

    Args:
        run: the folder, which checks made since have left their figures in.
        config: its settings.
        records: its finished stages, in order.
        made_with: packages and models, as `run.json` has them; empty where it has none.
    """
    counts = {record.name: record.counts for record in records}
    return (
        make_environment()
        .get_template("provenance.md.j2")
        .render(
            version=__version__,
            recipe=list(_tell_recipe(config, records)),
            models=made_with.get("models", []),
            versions=made_with.get("versions", {}),
            prompts=list(_tell_prompts(config, records)),
            thresholds=list(_tell_thresholds(config, counts)),
            yields=list(_tell_yields(records)),
            rates=list(_tell_rates(run, counts)),
            audit=_read_check(run, "audit", counts),
            has_rows="export" in counts,
            settings=_changed_settings(config),
        )
    )


def _tell_recipe(config: RunConfig, records: Sequence[StageRecord]) -> Iterator[Row]:
    done = [record.name for record in records]
    inputs = [record.settings["input"] for record in records if "input" in record.settings]
    yield Row("input", ", ".join(inputs) or "not told", "names and the beginning of the SHA-256 of the files")
    yield Row("stages", ", ".join(done))
    generate = config.generate
    if "generate" in done:
        writers = ", ".join(name for name in generate.resolved_llms)
        yield Row("queries", f"written by {writers}", f"recipe `{generate.resolved_recipe}`")
    else:
        yield Row("queries", "those of the input")
    if "mine" in done:
        how = f"{config.mine.wanted} a query, chosen by `{config.mine.choice.method}`"
        yield Row("negatives", how, f"mined with {', '.join(config.mine.sources.use)}")
    yield Row("seed", str(config.seed))


def _tell_prompts(config: RunConfig, records: Sequence[StageRecord]) -> Iterator[Row]:
    """What models were told; the value is the prompt, or the hash of its files."""
    settings = {record.name: record.settings for record in records}
    if "embed" in settings:
        for name, teacher in {"teacher": config.teacher, **config.teachers}.items():
            for role, prompt in (("queries", teacher.query_prompt), ("documents", teacher.document_prompt)):
                yield Row(f"{name}, before {role}", "the model's own" if prompt is None else json.dumps(prompt))
            yield Row(f"{name}, a document", json.dumps(teacher.document_template))
    generate = config.generate
    if "generate" in settings and generate.resolved_recipe != EXTRACTIVE:
        where = "each prompt as it was sent: `generations/`, column `prompt`"
        of = "your own" if generate.prompts else f"datagen {__version__}"
        recipe = f"recipe `{generate.resolved_recipe}` of {of}"
        yield Row(recipe, f"hash {settings['generate'].get('prompts', 'not told')}", where)
    if "judge" in settings:
        of = "your own" if config.judge.prompts else f"datagen {__version__}"
        judged = f"judge, `relevance/{config.judge.mode}` of {of}"
        yield Row(judged, f"hash {settings['judge'].get('prompts', 'not told')}", "what was said: `judgements/`")


def _tell_thresholds(config: RunConfig, counts: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:  # Any: JSON counts
    """The numbers that decided, as they stood in the end."""
    if "verify" in counts and "wanted_rank" in counts["verify"]:
        yield Row(
            "verify: rank of a passage", str(counts["verify"]["wanted_rank"]), "a query that misses it is dropped"
        )
    if "mine" in counts:
        yield from _mining_thresholds(config, counts)
    if "denoise" in counts:
        denoise = config.denoise
        margin = counts["denoise"].get("margin", denoise.margin)
        yield Row("reranker: `denoise.margin`", str(margin), "place between the positives' scores")
        yield Row("reranker: `denoise.floor_quantile`", str(denoise.floor_quantile), "below it always a negative")
        if denoise.promote_depth:
            yield Row("reranker: `denoise.promote_margin`", str(denoise.promote_margin), "above it a positive")
    if "judge" in counts:
        yield Row("judge: `judge.min_grade`", str(config.judge.min_grade), "of this grade never a negative")
        if config.judge.promote:
            yield Row("judge: `judge.promote_grade`", str(config.judge.promote_grade), "of this grade a positive")
    if config.mine.choice.hub_cap and "choose" in counts:
        yield Row(
            "`mine.choice.hub_cap`", str(config.mine.choice.hub_cap), "queries that a passage may be a negative of"
        )


def _mining_thresholds(config: RunConfig, counts: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:  # Any: see above
    mine = config.mine
    if "calibrate" in counts:
        promise = f"chosen for at most {counts['calibrate']['promise']:.1%} wrong labels"
        yield Row("highest P(false negative) of a negative", str(counts["calibrate"]["cut"]), promise)
    else:
        yield Row(f"`mine.margin`, policy `{mine.margin_policy}`", str(mine.resolved_margin), "not calibrated")
        if mine.margin_policy == "adaptive":
            yield Row("`mine.margin_ceiling`", str(mine.margin_ceiling), "for queries short of negatives")
    yield Row("`mine.positive_score`", mine.positive_score, "which positive the margin looks at")
    for name, value in mine.closure.model_dump().items():
        shown = "not looked at" if value is None else str(value)
        yield Row(f"copies: `mine.closure.{name}`", shown, "")


def _tell_yields(records: Sequence[StageRecord]) -> Iterator[Yield]:
    for record in records:
        counts = record.counts
        for name, table in counts.get("tables", {}).items():
            lost = table["dropped"]
            yield Yield(record.name, name, table["given"], table["given"] - sum(lost.values()), _reasons(lost))
        if "accepted" in counts:
            lost = counts.get("rejected_by_reason", {})
            of = "tasks" if record.name == "brainstorm" else "rows asked"
            yield Yield(record.name, of, counts["asked"], counts["accepted"], _reasons(lost))
        if "eligible" in counts:
            lost = {reason: n for reason, n in counts["reasons"].items() if reason not in _NOT_LOST}
            yield Yield(record.name, "candidates", counts["candidates"], counts["eligible"], _reasons(lost))
        if "queries_with_all_negatives" in counts:
            short = {"fewer": counts["queries_short"], "none": counts["queries_without_negatives"]}
            full = counts["queries_with_all_negatives"]
            yield Yield(record.name, "queries with all negatives", counts["queries"], full, _reasons(short))


def _reasons(lost: Mapping[str, int]) -> str:
    ordered = sorted(((n, reason) for reason, n in lost.items() if n), key=lambda item: (-item[0], item[1]))
    shown = [f"{reason} {n:,}" for n, reason in ordered[:_REASONS_SHOWN]]
    return ", ".join(shown + (["…"] if len(ordered) > _REASONS_SHOWN else []))


def _tell_rates(run: Path, counts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:  # Any: JSON counts
    """A sentence for each thing that is measured, or that might have been."""
    wrong = "Wrong labels among the negatives"
    if "calibrate" in counts:
        yield f"{wrong}: {tell_promise(counts['calibrate'])}"
    elif "mine" in counts:
        command = f"datagen mine-negatives --run {run.name} --max-false-negatives 0.02"
        yield f"{wrong}: not measured; `{command}` promises a rate."
    if "judge" in counts:
        yield judge_line(counts["judge"])
    index = counts.get("mine", {}).get("index", {})
    if "recall" in index:
        yield f"Search with {index['index']} finds {index['recall']:.1%} of the true nearest documents."
    if "export" in counts:
        yield _tell_canary(run, counts)
        yield _tell_probe(run, counts)


def _tell_canary(run: Path, counts: Mapping[str, Mapping[str, Any]]) -> str:  # Any: JSON counts
    found = _read_check(run, "canary", counts)
    shares = [
        f"{what} {found[name]['share']:.1%} ({found['confidence']:.0%} interval {found[name]['low']:.1%} to "
        f"{found[name]['high']:.1%}, of {found[name]['of']:,})"
        for name, what in (("recall", "planted false negatives kept out"), ("retention", "hard negatives kept"))
        if name in found
    ]
    if not shares:
        command = f"datagen canary --run {run.name} --out {run.name}/canary"
        return f"Planted false negatives: not measured; `{command}` does."
    return f"Canaries: {', '.join(shares)}."


def _tell_probe(run: Path, counts: Mapping[str, Mapping[str, Any]]) -> str:  # Any: JSON counts
    arms = _read_check(run, "probe", counts).get("arms", [])
    if not arms:
        return f"Use for training: not measured; `datagen probe {run.name} --eval FOLDER` does."
    shown = ", ".join(f"{arm['arm']} {arm['ndcg']:.4f}" for arm in arms)
    return f"nDCG@10 of a small student after training (`datagen probe`): {shown}."


def _read_check(
    run: Path,
    name: str,
    counts: Mapping[str, Mapping[str, Any]],  # Any: JSON counts
) -> dict[str, Any]:  # Any: JSON figures
    """The figures that a check left in the run; empty where there are none, or the run was made again since."""
    file = run / name / f"{name}.json"
    last = run.joinpath(".stages", *list(counts)[-1:], "stage.json")
    if not file.is_file() or (last.is_file() and last.stat().st_mtime > file.stat().st_mtime):
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _changed_settings(config: RunConfig) -> str:
    """The settings that are not the defaults, as YAML; of paths the last part alone, as folders differ."""
    changed = config.model_dump(mode="json", exclude_defaults=True, exclude={"out", "cache", "memory", "page"})
    plain = {"seed": config.seed, **{name: _without_folders(value) for name, value in changed.items()}}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip()


def _without_folders(value: Any) -> Any:  # Any: a JSON setting, the same with the last part of each path
    if isinstance(value, dict):
        return {name: _without_folders(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
