from __future__ import annotations

import json

import pytest

from datagen.generation.extractive.parsing import Unparsable, Written, format_reply, parse_reply


@pytest.mark.parametrize(
    "written",
    [Written("q"), Written("q", "p"), Written('"ü"\n', "p", "s")],
    ids=["query", "passage", "all-with-quotes"],
)
def test_parse_reply_reads_what_format_reply_writes(written: Written) -> None:
    assert parse_reply(format_reply(written)) == written._replace(query=written.query.strip())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("What is it?", "not_json", id="plain-text"),
        pytest.param('{"query": "a"', "not_json", id="cut-off"),
        pytest.param('["a"]', "not_an_object", id="list"),
        pytest.param("{}", "no_query", id="empty"),
        pytest.param('{"query": " "}', "no_query", id="blank"),
        pytest.param('{"query": null, "passage": "p"}', "no_query", id="null"),
        pytest.param('{"query": 3}', "not_a_text", id="number"),
        pytest.param('{"query": "a", "span": ["b"]}', "not_a_text", id="list-as-span"),
    ],
)
def test_parse_reply_says_why_not(text: str, reason: str) -> None:
    assert parse_reply(text) == Unparsable(reason)


def test_parse_reply_takes_null_and_blank_fields_as_absent() -> None:
    assert parse_reply(json.dumps({"query": "a", "passage": None, "span": " ", "other": 1})) == Written("a")
