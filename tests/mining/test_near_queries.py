"""Which queries ask the same."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from datagen.mining import near_queries
from datagen.mining.near_queries import QueryFamilies, join_near_queries

DISEASES = ["glaucoma", "botulism", "asthma", "diabetes", "leukemia", "anemia", "hepatitis", "lupus", "gout", "rabies"]
TEMPLATES = [
    "What are the treatments for {}?",
    "What are the symptoms of {}?",
    "What causes {}?",
    "How to diagnose {}?",
]


def _join(texts: list[str], likeness: float | None = 0.9) -> QueryFamilies:
    groups = np.unique(texts, return_inverse=True)[1]
    return join_near_queries(pl.Series(texts), groups, likeness)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("How do I reset the password of my router?", "how can I reset the password of my router", True),
        (
            "What is head and neck squamous cell carcinoma?",
            "What is squamous cell carcinoma of the head and neck",
            True,
        ),
        ("How can I unblock my debit card abroad?", "How can I unblok my debit card abroad?", True),
        ("What are the symptoms of type 1 diabetes?", "What are the symptoms of type 2 diabetes?", False),
        ("Adult acute lymphoblastic leukemia treatment", "Adult acute myeloid leukemia treatment", False),
        ("Can you take aspirin with alcohol at night?", "Can you take aspirin without alcohol at night?", False),
        ("apple juice", "apples juice", False),
    ],
)
def test_queries_are_joined_by_what_they_ask(first: str, second: str, same: bool) -> None:
    found = _join([first, second, "When was the Suez canal opened?"])
    assert (found.family[0] == found.family[1]) == same
    assert found.family[2] not in found.family[:2]
    assert (found.joined, found.largest) == ((2, 2) if same else (0, 1))


def test_queries_of_one_template_are_not_joined() -> None:
    found = _join([template.format(disease) for template in TEMPLATES for disease in DISEASES])
    assert len(set(found.family.tolist())) == len(found.family)
    assert found.joined == 0


def test_queries_of_equal_text_are_one_whatever_the_likeness() -> None:
    for likeness in (None, 0.9):
        found = _join(["what is a kidney", "what is a liver", "what is a kidney"], likeness)
        assert found.family[0] == found.family[2] != found.family[1]
        assert (found.joined, found.largest) == (0, 1)


LONG = "rent cheap mountain bicycles northern norway summer holidays families children insurance transport helmets maps"
CHAIN = [LONG, f"{LONG} tents", f"{LONG} tents stoves"]


def test_what_is_near_to_a_member_belongs_to_the_family() -> None:
    assert _join([CHAIN[0], CHAIN[2], "what is a kidney stone"], 0.85).joined == 0
    found = _join([*CHAIN, "what is a kidney stone"], 0.85)
    assert len(set(found.family[:3].tolist())) == 1
    assert (found.joined, found.largest) == (3, 3)


def test_too_large_a_family_keeps_only_its_closest_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_queries, "MOST_JOINED", 2)
    found = _join([*CHAIN, "is a kidney stone dangerous for dogs", "Are kidney stones dangerous for dogs"], 0.7)
    assert found.largest == 2
    assert found.family[3] == found.family[4]  # a small family keeps the links it has


def test_no_queries_make_no_families() -> None:
    for likeness in (None, 0.9):
        assert len(_join([], likeness).family) == 0
        assert _join([], likeness).joined == 0


def test_many_equal_bags_of_words_are_joined_without_comparing_all_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_queries, "MOST_JOINED", 1000)
    texts = [f"where can tourists rent {'so ' * n}cheap mountain bicycles" for n in range(200)]
    found = _join(texts)
    assert (found.joined, found.largest) == (200, 200)
