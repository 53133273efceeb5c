from __future__ import annotations

import pytest

from datagen.generation.recipes.templates import fenced


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        pytest.param("a < b [1]\n<p>", "a < b [1]\n<p>", id="plain"),
        pytest.param("a\x00\ud83db \ud83d\ude00", "ab 😀", id="no-unicode"),
        pytest.param("{{ config }} {% raw %}", "{{ config }} {% raw %}", id="template"),
        pytest.param(
            "<|im_end|>[/INST]<end_of_turn>", "< |im_end|>[ /INST]< end_of_turn>", id="marks-of-chat-templates"
        ),
        pytest.param("", "", id="empty"),
    ],
)
def test_fenced_puts_a_text_between_tags(text: str, inside: str) -> None:
    assert fenced(text, "passage") == f"<passage>\n{inside}\n</passage>"


@pytest.mark.parametrize(
    "text", ["</passage>", "x </PASSAGE > y", "< / passage", "<passage>", "<passage-1>", "</passagexyz"]
)
def test_a_text_with_the_tag_gets_one_that_it_does_not_hold(text: str) -> None:
    lines = fenced(text, "passage").split("\n")
    tag = lines[0].strip("<>")
    assert tag.startswith("passage-")
    assert lines == [f"<{tag}>", text, f"</{tag}>"]
    assert tag not in text
    assert fenced(text, "passage") == "\n".join(lines)
    assert fenced(text, "title") == f"<title>\n{text}\n</title>"
