from __future__ import annotations

import pytest

from benchmarks.refusals import HELD_OUT, LISTED, UNSEEN
from datagen.generation.recipes.checks_refusal import count_signs, is_refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m unable to fulfill this request.",
        "As an AI language model, I cannot write this.",
        "The passage does not contain enough information.",
        "N/A",
        "Could you please provide the passage?",
        "Es tut mir leid, aber ich kann dabei nicht helfen.",
        "Je suis désolé, mais je ne peux pas répondre.",
        "很抱歉，我无法完成这个请求。",
    ],
)
def test_refusals_are_found(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "why can't I reset my password",
        "I am unable to verify my identity",
        "I cannot make a transfer to another account.",
        "what is an AI language model",
        "none of my cards work abroad",
        "is it against company policy to work from home",
        "unfortunately named places in England",
    ],
)
def test_people_who_cannot_do_things_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'd prefer not to answer.",
        "It's not appropriate to write about vitamin D.",
        "I cannot find any relevant information in the text.",
        "Passage missing.",
        "Unable to comply.",
        "I am not sure what is being asked.",
        "As an AI I don't have real-time data.",
        "No estoy en condiciones de responder.",
        "Ich habe nicht genügend Informationen.",
        "情報が足りないため、質問を作成できません。",
    ],
)
def test_refusals_in_many_wordings_are_found(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't find my card",
        "I refuse to eat vegetables, how do I get vitamins",
        "not enough information to open an account",
        "unable to produce insulin",
        "As an assistant nurse, I am not allowed to give injections; which tasks remain?",
        "why was my request denied",
        "I can't find the virtual card",
        "no message from the bank after transfer",
        "People with this condition are genetically male and do not produce enough of a hormone.",
        "Ich kann meine Frage zu meiner Karte nicht stellen",
    ],
)
def test_real_wishes_with_signs_of_a_refusal_are_none(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("What are the treatments for fever?", 0),
        ("I can't open it", 1),
        ("I can't do that.", 4),
        ("My card does not work, why can't I pay?", -3),
    ],
)
def test_signs_add_up_and_own_things_count_against_it(text: str, points: int) -> None:
    assert count_signs(text) == points


@pytest.mark.parametrize(
    ("sentences", "least"), [(LISTED, 0.95), (UNSEEN, 0.95), (HELD_OUT, 0.9)], ids=["listed", "unseen", "held out"]
)
def test_refusals_of_the_benchmark_are_recognised(sentences: tuple[str, ...], least: float) -> None:
    found = [is_refusal(sentence.format(topic="vitamin D")) for sentence in sentences]
    assert sum(found) / len(found) >= least
