from __future__ import annotations

import pytest

from datagen.generation.extractive.questions import ask_all
from datagen.generation.sentences import split_sentences
from datagen.generation.words import WordStatistics, count_words


def _questions(text: str, statistics: WordStatistics | None = None) -> list[tuple[str, str]]:
    found = ask_all(text, split_sentences(text), statistics or count_words([text]))
    return [(question.query, question.span) for question in found]


@pytest.mark.parametrize(
    ("text", "query", "span"),
    [
        pytest.param(
            "A goiter is an enlargement of the thyroid gland.",
            "What is a goiter?",
            "an enlargement of the thyroid gland",
            id="definition",
        ),
        pytest.param(
            "Drusen are yellow deposits under the retina.",
            "What are Drusen?",
            "yellow deposits under the retina",
            id="definition-of-many",
        ),
        pytest.param(
            "Rita Dove was an American poet born in Akron.",
            "Who was Rita Dove?",
            "an American poet born in Akron",
            id="definition-of-a-person",
        ),
        pytest.param(
            "Bathophobia refers to the fear of depths.",
            "What does Bathophobia refer to?",
            "the fear of depths",
            id="meaning",
        ),
        pytest.param(
            "Malaria (also ague) is usually caused by a parasite.",
            "What causes Malaria?",
            "a parasite",
            id="cause",
        ),
        pytest.param(
            "Mutations in the G6PD gene cause Danon disease, which is rare.",
            "What causes Danon disease?",
            "Mutations in the G6PD gene",
            id="cause-in-the-subject",
        ),
        pytest.param(
            "Fabry disease affects an estimated 1 in 40,000 males.",
            "How common is Fabry disease?",
            "an estimated 1 in 40,000 males",
            id="commonness",
        ),
        pytest.param(
            "About 30 percent of adults with asthma have hay fever.",
            "What percentage of adults with asthma have hay fever?",
            "About 30 percent of adults with asthma",
            id="share",
        ),
        pytest.param(
            "More than 200 families with FIPA have been described so far.",
            "How many families with FIPA have been described so far?",
            "More than 200 families with FIPA",
            id="number-in-the-subject",
        ),
        pytest.param(
            "There are two types of aortic aneurysm: thoracic and abdominal.",
            "How many types of aortic aneurysm are there?",
            "two types of aortic aneurysm: thoracic and abdominal",
            id="there-are",
        ),
        pytest.param(
            "Istanbul has 39 districts, more than any other province.",
            "How many districts does Istanbul have?",
            "39 districts, more than any other province",
            id="has-a-number",
        ),
        pytest.param(
            "Windows NT 3.5 was released in September 1994 by Microsoft.",
            "When was Windows NT 3.5 released by Microsoft?",
            "September 1994",
            id="date",
        ),
        pytest.param(
            "In 1533, Colombia received its first enslaved people.",
            "When did Colombia receive its first enslaved people?",
            "1533",
            id="date-in-front",
        ),
        pytest.param("Thomson bought The Times in 1966.", "When did Thomson buy The Times?", "1966", id="active-date"),
        pytest.param(
            "The macula is located in the retina.", "Where is the macula located?", "in the retina", id="place"
        ),
        pytest.param(
            "Becker disease is inherited in an autosomal manner.",
            "How is Becker disease inherited?",
            "in an autosomal manner",
            id="manner",
        ),
        pytest.param(
            "The saxophone was first invented by Adolphe Sax in Brussels.",
            "Who first invented the saxophone?",
            "Adolphe Sax",
            id="person-by",
        ),
        pytest.param(
            "Alvin Toffler published Future Shock, a book.", "Who published Future Shock?", "Alvin Toffler", id="person"
        ),
        pytest.param(
            "The Andes range is about 200 km wide at most.",
            "How wide is the Andes range?",
            "about 200 km",
            id="size",
        ),
        pytest.param("Influenza lasts about 7 days.", "How long does Influenza last?", "about 7 days", id="duration"),
        pytest.param(
            "A day ticket costs $2.50 or more.", "How much does a day ticket cost?", "$2.50 or more", id="price"
        ),
        pytest.param(
            "LDL and low-density lipoprotein (LDL) are one. LDL is bad.",
            "What does LDL stand for?",
            "low-density lipoprotein",
            id="acronym",
        ),
    ],
)
def test_question_is_made_from(text: str, query: str, span: str) -> None:
    assert (query, span) in _questions(text)
    assert span in text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("It is a rare condition.", id="pronoun"),
        pytest.param("The condition is a disorder of the skin.", id="vague-noun"),
        pytest.param("Those patients, however, were a problem.", id="connective"),
        pytest.param("Having trouble swallowing is a symptom.", id="gerund"),
        pytest.param("The prognosis of this disorder is a matter of luck.", id="points-back"),
        pytest.param("Pewter is 85 percent tin.", id="share-of-a-mixture"),
        pytest.param("Conclusions are drawn on the basis of the tests.", id="participle-is-no-definition"),
        pytest.param("The race was held in 1990.", id="bare-noun-of-the-past"),
        pytest.param('He signed "A Plan in 2000, Not a Dream.', id="open-quote"),
        pytest.param("Stress is a common result of work.", id="no-definition"),
        pytest.param("Cells grow.", id="no-verb-that-is-known"),
        pytest.param("Is gluten a protein?", id="question"),
        pytest.param("- Gluten is a protein.", id="list-item"),
        pytest.param("Two are here.", id="number-without-noun"),
        pytest.param("One sees a deep vein (XYZ). XYZ and XYZ.", id="initials-differ"),
        pytest.param("Giant axonal neuropathy (GAN).", id="acronym-not-used-again"),
        pytest.param("XXX syndrome", id="heading"),
        pytest.param("The Gates Company founded a school in town.", id="company-is-no-person"),
        pytest.param("", id="empty"),
    ],
)
def test_no_question_is_made_from(text: str) -> None:
    assert _questions(text) == []


def test_question_keeps_the_capital_of_a_name_and_drops_that_of_a_noun() -> None:
    statistics = count_words(["Gluten is", "with gluten", "no gluten", "Fabry is", "by Fabry"])
    assert [query for query, _ in _questions("Gluten is a protein. Fabry is a town.", statistics)] == [
        "What is gluten?",
        "What is Fabry?",
    ]


def test_question_about_what_many_passages_name_is_left_out() -> None:
    statistics = count_words(["stroke care"] * 60 + ["gluten"])
    text = "Stroke is a disease of the brain. Gluten is a protein."
    assert [query for query, _ in _questions(text, statistics)] == ["What is gluten?"]


def test_questions_come_in_the_order_of_the_sentences_and_once() -> None:
    text = "Gluten is a protein. Malaria is caused by a parasite. Gluten is a glue."
    assert [query for query, _ in _questions(text)] == ["What is Gluten?", "What causes Malaria?"]
