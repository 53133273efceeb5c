"""A language model that says a passage backwards: nobody would call it a copy."""

from __future__ import annotations

import json
import re

from datagen.backends.protocols import LLMReply, LLMRequest


class Paraphraser:
    """Answers the recipe `paraphrase`."""

    def __init__(self, settings: object) -> None:
        self.name = "paraphraser"

    async def complete(self, request: LLMRequest) -> LLMReply:
        asked = request.messages[-1]["content"]
        found = re.search(r"<passage>(.*?)</passage>", asked, re.DOTALL)
        passage = found[1] if found else asked
        return LLMReply(request.row_id, json.dumps({"paraphrase": " ".join(reversed(passage.split()))}))
