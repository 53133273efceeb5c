"""`datagen probe` with a real model of a few thousand weights, a few steps an arm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datagen.backends.student_st import Student
from datagen.cli import app
from datagen.errors import ConfigError, InputError
from datagen.probe.judged import load_judged
from datagen.probe.loop import probe
from datagen.probe.measures import Judgements
from datagen.progress import Advance
from datagen.runs import load_run
from datagen.settings.probe import DEFAULT_BASELINES, OWN, UNTRAINED, ProbeConfig, build_probe_config

BASELINES = ("in-batch", "random", "top-k", "closed-top-k", "st-mined")
ARMS = [UNTRAINED, OWN, *BASELINES]


@pytest.fixture(scope="session")
def config(student: str) -> ProbeConfig:
    values = {"student": student, "baselines": BASELINES, "steps": 2, "batch_size": 8, "learning_rate": 1e-2}
    return build_probe_config({**values, "device": "cpu", "max_tokens": 16})


@pytest.fixture(scope="session")
def probed(mined: Path, beir: Path, config: ProbeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose arms have all been trained."""
    out = Path(shutil.copytree(mined, tmp_path_factory.mktemp("probed") / "run"))
    probe(out, beir, config, {})
    return out


@pytest.fixture
def run(probed: Path, tmp_path: Path) -> Path:
    """A copy of it, to write into."""
    return Path(shutil.copytree(probed, tmp_path / "run"))


class _Counted:
    """Trains as the student does, and remembers what it read; fails at an arm of a given number."""

    def __init__(self, patch: pytest.MonkeyPatch, fail_at: int | None = None) -> None:
        self.read: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = []
        self.steps: list[int] = []
        train = Student.train

        def counted(
            student: Student,
            queries: Sequence[str],
            columns: Sequence[Sequence[str]],
            config: ProbeConfig,
            seed: int,
            advance: Advance,
        ) -> float:
            if len(self.read) == fail_at:
                raise KeyboardInterrupt
            self.read.append((queries, columns))
            self.steps.append(0)

            def count(amount: int, note: str = "") -> None:
                self.steps[-1] += amount

            return train(student, queries, columns, config, seed, count)

        patch.setattr(Student, "train", counted)


def test_every_arm_is_trained_and_compared(probed: Path) -> None:
    summary = json.loads((probed / "probe" / "probe.json").read_text())
    arms = {row["arm"]: row for row in summary["arms"]}
    assert list(arms) == ARMS
    assert (summary["queries"], summary["trained_on"]) == (12, 0)
    assert arms[UNTRAINED]["loss"] is None
    assert all(arms[arm]["loss"] > 0 for arm in ARMS[1:])
    assert len({arms[arm]["ndcg"] for arm in ARMS}) > 2
    for arm in ARMS[1:]:
        assert arms[arm]["over_untrained"] == pytest.approx(arms[arm]["ndcg"] - arms[UNTRAINED]["ndcg"])
        assert arms[arm]["over_untrained_low"] <= arms[arm]["over_untrained"] <= arms[arm]["over_untrained_high"]
    assert arms["random"]["lead"] == pytest.approx(arms[OWN]["ndcg"] - arms["random"]["ndcg"])
    assert arms[OWN]["lead"] is None
    assert 0 < arms[UNTRAINED]["recall"] <= 1


def test_slices_are_the_values_of_a_column_of_the_queries(probed: Path) -> None:
    slices = json.loads((probed / "probe" / "probe.json").read_text())["slices"]
    assert {(row["slice"], row["value"], row["queries"]) for row in slices} == {
        ("type", "cause", 4), ("type", "sign", 4), ("type", "test", 4)
    }  # fmt: skip
    means = [row["ndcg"] for row in slices if row["arm"] == OWN]
    whole = json.loads((probed / "probe" / "probe.json").read_text())["arms"][1]["ndcg"]
    assert sum(means) / 3 == pytest.approx(whole)


def test_done_arms_are_kept(run: Path, beir: Path, config: ProbeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = _Counted(monkeypatch)
    before = (run / "probe" / "probe.json").read_text()
    probe(run, beir, config, {})
    assert counted.read == []
    assert (run / "probe" / "probe.json").read_text() == before


def test_killed_probe_goes_on_with_the_next_arm(
    run: Path, beir: Path, config: ProbeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((run / "probe" / "probe.json").read_text())
    shutil.rmtree(run / "probe")
    with monkeypatch.context() as patch:
        counted = _Counted(patch, fail_at=2)
        with pytest.raises(KeyboardInterrupt):
            probe(run, beir, config, {})
        assert len(counted.read) == 2
    assert {path.stem for path in (run / "probe").iterdir()} == {"untrained-42", "datagen-42", "in-batch-42"}
    (run / "probe" / "in-batch-42.json").write_text('{"arm": "in-ba')
    counted = _Counted(monkeypatch)
    found = probe(run, beir, config, {})
    assert len(counted.read) == 5
    assert found.arms.drop("seconds").to_dicts() == [
        {name: value for name, value in row.items() if name != "seconds"} for row in before["arms"]
    ]


def test_arms_have_equal_budgets(run: Path, beir: Path, config: ProbeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run / "probe")
    counted = _Counted(monkeypatch)
    probe(run, beir, config.model_copy(update={"steps": 3, "baselines": ("in-batch", "top-k")}), {"again": run})
    assert counted.steps == [3, 3, 3, 3]
    queries, columns = zip(*counted.read, strict=True)
    assert len(queries[0]) == 3 * 8
    assert all(list(each) == list(queries[0]) for each in queries)
    assert all(list(each[0]) == list(columns[0][0]) for each in columns)
    assert [len(each) for each in columns] == [2, 1, 2, 2]
    assert columns[0][1] != columns[2][1]
    assert columns[0][1] == columns[3][1]


def test_another_seed_is_another_training(run: Path, beir: Path, config: ProbeConfig) -> None:
    few = config.model_copy(update={"baselines": ()})
    one = probe(run, beir, few, {})
    both = probe(run, beir, few.model_copy(update={"seeds": (42, 43)}), {})
    files = {path.stem for path in (run / "probe").glob("datagen-*.json")}
    assert files == {"datagen-42", "datagen-43"}
    other = json.loads((run / "probe" / "datagen-43.json").read_text())
    mean = (one.arms["ndcg"][1] + sum(other["ndcg"]) / 12) / 2
    assert both.arms["ndcg"][1] == pytest.approx(mean)


def test_queries_that_the_run_trains_on_are_not_evaluated(run: Path, beir: Path) -> None:
    trained = load_run(run).train["query"]
    everything = beir.parent / "everything"
    shutil.copytree(beir, everything, dirs_exist_ok=True)
    (everything / "qrels" / "test.tsv").unlink(missing_ok=True)
    pairs = "".join(f"q{i}\td{i}\t1\n" for i in range(72))
    (everything / "qrels" / "all.tsv").write_text("query-id\tcorpus-id\tscore\n" + pairs)
    judged = load_judged(everything, "{title} {text}", trained)
    assert (len(judged.queries), judged.trained_on) == (12, 60)
    (everything / "qrels" / "all.tsv").unlink()
    with pytest.raises(InputError, match=r"no query to evaluate on: 60 of 72 .* the run trains on 60 of these"):
        load_judged(everything, "{title} {text}", trained)


def test_judgements_are_numbered_and_irrelevant_ones_left_out(beir: Path, run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(beir, tmp_path / "graded"))
    lines = ["query-id\tcorpus-id\tscore", "q71\td3\t2", "q71\td1\t0", "q70\td5\t1", "q70\tgone\t1", "gone\td1\t1", ""]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines))
    judged = load_judged(folder, "{title} {text}", load_run(run).train["query"])
    assert len(judged.queries) == 2
    found: Judgements = judged.judgements
    assert (found.rows.tolist(), found.documents.tolist(), found.gains.tolist()) == ([0, 1], [5, 3], [1, 2])


def test_command_prints_a_table_and_names_the_arms(run: Path, beir: Path, config: ProbeConfig) -> None:
    words = ["probe", str(run), "--eval", str(beir), "--student", config.student, "--steps", "2", "--batch-size", "8"]
    words += ["--learning-rate", "0.01", "--max-tokens", "16", "--device", "cpu", "--quiet"]
    done = CliRunner().invoke(app, [*words, "--baselines", "in-batch,st-mined", "--also", f"again={run}"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if "[" in line]
    assert [line.split()[0] for line in lines] == ["untrained", "datagen", "in-batch", "st-mined", "again"]
    assert "12 queries evaluated, intervals of 95%" in done.output
    assert "type: sign" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--baselines", "best"], "unknown baselines", id="unknown baseline"),
        pytest.param(["--batch-size", "1"], "setting 'batch_size' is 1", id="batch of one"),
        pytest.param(["--also", "spread"], "--also 'spread' is not NAME=RUN", id="run without a name"),
    ],
)
def test_command_explains_what_is_wrong(run: Path, beir: Path, words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["probe", str(run), "--eval", str(beir), *words])
    assert done.exit_code == 2
    assert message in done.output


def test_name_of_an_arm_may_not_be_taken(run: Path, beir: Path, config: ProbeConfig) -> None:
    with pytest.raises(ConfigError, match=r"an arm is called 'top-k' already"):
        probe(run, beir, config, {"top-k": run})


def test_options_tell_the_defaults_of_the_settings() -> None:
    shown = " ".join(CliRunner().invoke(app, ["probe", "--help"], terminal_width=400).output.replace("│", " ").split())
    for name in ("student", "steps", "batch_size", "negatives", "learning_rate", "max_tokens", "device", "confidence"):
        line = shown.split(f"--{name.replace('_', '-')} ", 1)[1]
        assert line.split("[default: ", 1)[1].startswith(f"{ProbeConfig.model_fields[name].default}]"), name
    assert f"[default: {','.join(DEFAULT_BASELINES)}]" in shown
