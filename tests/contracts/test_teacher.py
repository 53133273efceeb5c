"""What every teacher must do."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.backends.models import find_model
from datagen.backends.protocols import Role, Teacher
from datagen.backends.teacher_st import load_teacher
from datagen.config import Dtype, TeacherConfig
from datagen.testing import HashingTeacher

TEXTS = ["Hypertension raises the risk of stroke.", "a", "The liver makes bile. " * 40, "Blood pressure and strokes"]


@pytest.fixture(scope="module", params=["hashing", "minilm-float32", "minilm-auto"])
def teacher(request: pytest.FixtureRequest) -> Teacher:
    if request.param == "hashing":
        return HashingTeacher(TeacherConfig())
    dtype: Dtype = "float32" if request.param == "minilm-float32" else "auto"
    return load_teacher(find_model("packaged:all-MiniLM-L6-v2"), TeacherConfig(dtype=dtype))


@pytest.mark.parametrize("role", ["query", "document"])
def test_encode_gives_unit_rows_in_the_order_of_the_texts(teacher: Teacher, role: Role) -> None:
    vectors = teacher.encode(TEXTS, role)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), teacher.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert float(teacher.encode([text], role)[0] @ vector) > 0.999


def test_encode_gives_the_same_bytes_again(teacher: Teacher) -> None:
    assert teacher.encode(TEXTS, "document").tobytes() == teacher.encode(TEXTS, "document").tobytes()


def test_encode_puts_related_texts_closer(teacher: Teacher) -> None:
    stroke, _, liver, pressure = teacher.encode(TEXTS, "document")
    assert stroke @ pressure > stroke @ liver


def test_usage_counts_tokens_and_padding(teacher: Teacher) -> None:
    before = teacher.usage.tokens
    teacher.encode(TEXTS, "document")
    assert teacher.usage.tokens > before
    assert teacher.usage.padded >= teacher.usage.tokens
    assert 0 <= teacher.usage.padding_share < 1
