"""Judges that run in this process and follow a rule: for runs with two that do not always agree.

A passage holds a word such as `grade2`; the careful judge grades by it, the generous one gives one more now and then.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.settings.generate import GenerateConfig

_PASSAGE = re.compile(r"<passage>\n(.*?)\n</passage>", re.DOTALL)
_GRADE = re.compile(r"grade([0-3])")


class Careful:
    """Grades by the word in the passage; without one 0."""

    name = "careful"

    def __init__(self, settings: GenerateConfig) -> None:
        del settings

    async def complete(self, request: LLMRequest) -> LLMReply:
        passage = _PASSAGE.search(request.messages[-1]["content"])
        assert passage
        found = _GRADE.search(passage[1])
        answer = {"reason": f"{self.name} says so", "grade": self.grade(int(found[1]) if found else 0, passage[1])}
        return LLMReply(request.row_id, json.dumps(answer), usage=Usage(100, 10))

    def grade(self, grade: int, passage: str) -> int:
        return grade


class Generous(Careful):
    """For every third passage or so one grade more."""

    name = "generous"

    def grade(self, grade: int, passage: str) -> int:
        return min(3, grade + (blake2b(passage.encode()).digest()[0] % 3 == 0))
