"""D2, D6, D8, D13: vectors are those of this model, prompt, template and number type; scores are cosines."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from sentence_transformers import SentenceTransformer

from datagen.backends.registry import Registry
from datagen.backends.teacher_st import load_teacher
from datagen.config import RunConfig, TeacherConfig, build_config

if TYPE_CHECKING:
    from tests.peer_defects.conftest import Collection, MakeModel, Mine, Mined

TEACHER = '''
from datagen.testing import HashingTeacher

class Teacher(HashingTeacher):
    """Words and a checkpoint."""

    def encode(self, texts, role):
        return super().encode([f"{text} %s {self.settings.revision}" for text in texts], role)
'''


def _differ(one: Mined, other: Mined) -> bool:
    """Whether the scores of the same pairs are others."""
    first, second = one.teacher_scores(), other.teacher_scores()
    both = sorted(first.keys() & second.keys())
    assert len(both) > 100
    return max(abs(first[pair] - second[pair]) for pair in both) > 1e-3


def _settings(model: Path | str, **over: object) -> dict[str, Any]:  # Any: nested settings
    return {"model": str(model), "dtype": "float32", **over}


def test_d02_two_checkpoints_of_one_name_give_their_own_vectors(
    mine: Mine, tiny: Collection, make_model: MakeModel
) -> None:
    first = mine(tiny, teacher=_settings(make_model("first/model", 1)))
    second = mine(tiny, teacher=_settings(make_model("second/model", 2)))
    unshared = mine(tiny, teacher=_settings(make_model("third/model", 2)), cache=first.out / "cache")
    assert _differ(first, second)
    assert second.counts["embed"]["documents_embedded"] == len(tiny.documents)
    assert second.ledger.equals(unshared.ledger)


def test_d02_a_copy_of_a_checkpoint_in_another_folder_needs_no_new_vectors(
    mine: Mine, tiny: Collection, make_model: MakeModel, tmp_path: Path
) -> None:
    first = mine(tiny, teacher=_settings(make_model("model", 1)))
    shutil.copytree(tmp_path / "model", tmp_path / "elsewhere")
    second = mine(tiny, teacher=_settings(tmp_path / "elsewhere"))
    assert second.counts["embed"]["documents_embedded"] == second.counts["embed"]["queries_embedded"] == 0
    assert second.ledger.equals(first.ledger)


def test_d02_a_checkpoint_that_is_saved_over_another_gives_its_own_vectors(
    mine: Mine, tiny: Collection, make_model: MakeModel
) -> None:
    first = mine(tiny, teacher=_settings(make_model("model", 1)))
    second = mine(tiny, teacher=_settings(make_model("model", 2)))
    assert _differ(first, second)


@pytest.mark.parametrize(("role", "other"), [("query", "document"), ("document", "query")])
def test_d02_a_prompt_gives_vectors_of_its_own(
    mine: Mine, tiny: Collection, make_model: MakeModel, role: str, other: str
) -> None:
    model = make_model("model", 1)
    plain = mine(tiny, "run", teacher=_settings(model))
    prompted = mine(tiny, "run", teacher=_settings(model, **{f"{role}_prompt": "search: "}))
    many = {"query": "queries", "document": "documents"}
    assert prompted.counts["embed"][f"{many[role]}_embedded"] == prompted.counts["embed"][many[role]]
    assert prompted.counts["embed"][f"{many[other]}_embedded"] == 0
    assert _differ(plain, prompted)


def test_d02_a_prompt_inside_the_model_gives_vectors_of_its_own(
    mine: Mine, tiny: Collection, make_model: MakeModel
) -> None:
    plain = mine(tiny, teacher=_settings(make_model("plain/model", 1)))
    prompted = mine(tiny, teacher=_settings(make_model("prompted/model", 1, prompts={"query": "search: "})))
    assert _differ(plain, prompted)


@pytest.fixture
def own_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with a teacher of the user's own, which can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_teacher", raising=False)
    path = tmp_path / "own_teacher.py"
    path.write_text(TEACHER % "one")
    return path


@pytest.mark.usefixtures("own_teacher")
def test_d02_a_revision_that_a_users_class_reads_gives_vectors_of_its_own(mine: Mine, tiny: Collection) -> None:
    first = mine(tiny, teacher={"model": "own_teacher:Teacher", "revision": "v1"})
    second = mine(tiny, teacher={"model": "own_teacher:Teacher", "revision": "v2"})
    assert _differ(first, second)


def test_d02_a_users_class_that_was_edited_gives_vectors_of_its_own(
    mine: Mine, tiny: Collection, own_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mine(tiny, teacher={"model": "own_teacher:Teacher"})
    own_teacher.write_text(TEACHER % "two, which is longer")
    monkeypatch.delitem(sys.modules, "own_teacher")  # as in a new process
    importlib.invalidate_caches()
    assert _differ(first, mine(tiny, teacher={"model": "own_teacher:Teacher"}))


def test_d02_the_teachers_own_model_as_reranker_has_the_teachers_revision(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {"v1": make_model("v1", 1), None: make_model("newest", 2)}
    monkeypatch.setattr("datagen.backends.registry.find_model", lambda _, revision: folders[revision])
    pinned, newest = (
        Registry(_config(tmp_path, {"model": "org/name", "revision": revision})).reranker_identity()
        for revision in ("v1", None)
    )
    assert pinned != newest


def _config(folder: Path, teacher: dict[str, object]) -> RunConfig:
    return build_config({"out": folder, "input": {"corpus": "x.jsonl"}, "teacher": teacher})


@pytest.mark.parametrize("measure", ["dot", "euclidean"])
def test_d06_scores_are_cosines_whatever_the_model_calls_similar(
    mine: Mine, tiny: Collection, make_model: MakeModel, measure: str
) -> None:
    folder = make_model("model", 1, normalize=False, similarity_fn_name=measure)
    found = mine(tiny, teacher=_settings(folder)).teacher_scores()
    model = SentenceTransformer(str(folder), device="cpu")
    queries, documents = (model.encode(list(texts)) for texts in (tiny.queries.values(), tiny.documents.values()))
    assert np.ptp(np.linalg.norm(documents, axis=1)) > 0.1, "a model for which the measures differ"
    table = _unit(queries) @ _unit(documents).T
    rows, columns = list(tiny.queries), list(tiny.documents)
    expected = {pair: table[rows.index(pair[0]), columns.index(pair[1])] for pair in found}
    assert found == pytest.approx(expected, abs=1e-5)


def _unit(vectors: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:  # Any: a shape
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_d08_a_full_cache_gives_what_an_empty_one_gives(mine: Mine, tiny: Collection, tmp_path: Path) -> None:
    reranker = {"reranker": "datagen.testing:OverlapReranker"}
    mine(tiny, denoise=reranker, mine={"num_negatives": 1})
    full = mine(tiny, denoise=reranker)
    empty = mine(tiny, denoise=reranker, cache=tmp_path / "another-cache")
    assert full.counts["embed"]["documents_embedded"] == 0
    assert full.counts["denoise"]["pairs_cached"] > 0
    assert full.ledger.equals(empty.ledger)
    assert full.train == empty.train


def test_d08_another_template_gives_vectors_of_its_own(mine: Mine, tiny: Collection) -> None:
    documents = {key: ("about livers", str(text)) for key, text in tiny.documents.items()}
    titled = type(tiny)(documents, tiny.queries, tiny.positives)
    whole = mine(titled, "run")
    body = mine(titled, "run", teacher={"document_template": "{text}"})
    assert body.counts["embed"]["documents_embedded"] == len(tiny.documents)
    assert _differ(whole, body)
    assert body.teacher_scores() == mine(tiny).teacher_scores()
    assert {item["text"] for row in body.train.values() for item in row["negatives"]} <= set(tiny.documents.values())


def test_d08_another_number_type_gives_vectors_of_its_own(mine: Mine, tiny: Collection) -> None:
    mine(tiny)
    exact = mine(tiny, teacher={"dtype": "float32"}).teacher_scores()
    true = tiny.scores()
    assert max(abs(exact[pair] - true[pair]) for pair in exact) < 1e-6


@pytest.mark.parametrize("reranker", ["none", "datagen.testing:OverlapReranker"])
def test_d08_fresh_takes_nothing_from_an_earlier_run(mine: Mine, tiny: Collection, reranker: str) -> None:
    first = mine(tiny, "run", denoise={"reranker": reranker})
    _leave_as_if_killed(first.out, "mine")
    kept = mine(tiny, "run", denoise={"reranker": reranker})
    assert "planted" in set(kept.ledger["source"]), "without --fresh the finished part is taken, or this shows nothing"
    _leave_as_if_killed(first.out, "mine")
    fresh = mine(tiny, "run", fresh=True, denoise={"reranker": reranker})
    assert fresh.ledger.equals(first.ledger)


@pytest.mark.parametrize("change", [{"mine": {"margin": 0.3}}, {"teacher": {"document_template": "so {text}"}}])
def test_d08_a_changed_setting_takes_no_finished_part_of_the_old_one(
    mine: Mine,
    tiny: Collection,
    change: dict[str, Any],  # Any: nested settings
) -> None:
    first = mine(tiny, "run")
    _leave_as_if_killed(first.out, "mine")
    assert "planted" not in set(mine(tiny, "run", **change).ledger["source"])


def _leave_as_if_killed(run: Path, stage: str) -> None:
    """Make a finished stage an unfinished one, with a part that can be told from a right one."""
    done = run / ".stages" / stage
    record = json.loads((done / "stage.json").read_text())
    (done / "stage.json").unlink()
    for later in ("denoise", "choose", "export"):
        shutil.rmtree(run / ".stages" / later, ignore_errors=True)
    part = next((done / "candidates").glob("*.parquet"))
    planted = pl.read_parquet(part).with_columns(source=pl.lit("planted"))
    part.unlink()  # the public table is a second name of this file
    planted.write_parquet(part)
    done.rename(run / ".stages" / f".partial-{stage}-{record['fingerprint']}")


def test_d13_an_empty_prompt_is_no_prompt(make_model: MakeModel) -> None:
    folder = make_model("model", 1)
    plain = load_teacher(folder, TeacherConfig(dtype="float32", device="cpu"))
    empty = load_teacher(folder, TeacherConfig(dtype="float32", device="cpu", query_prompt="", document_prompt=""))
    for role in ("query", "document"):
        np.testing.assert_array_equal(plain.encode(["liver pain"], role), empty.encode(["liver pain"], role))
