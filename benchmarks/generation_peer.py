"""distilabel writing a query for each passage: the peer of `generation_overhead`, in an environment of its own.

    PYTHON generation_peer.py CORPUS.jsonl BASE_URL --out FOLDER [--batch 50] [--task text]

Needs the standard library and distilabel 1.5.3 alone. Two ways to ask:

text        `TextGeneration` with a template; the JSON schema goes to the server as `response_format`; the answer is
            kept as it came, nothing is checked: the least work that distilabel can do for this.
structured  `GenerateSentencePair`, its task for queries, with its own structured output: the answer is checked against
            a schema, as ours is. Needs `distilabel[instructor]`.

Caching is off. All else but the batch size is as distilabel comes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from distilabel.models.llms import OpenAILLM  # type: ignore[import-not-found]
from distilabel.pipeline import Pipeline  # type: ignore[import-not-found]
from distilabel.steps import LoadDataFromDicts  # type: ignore[import-not-found]
from distilabel.steps.tasks import GenerateSentencePair, TextGeneration  # type: ignore[import-not-found]
from distilabel.steps.tasks.structured_outputs import instructor as wrapping  # type: ignore[import-not-found]

KEY_NAME = "DATAGEN_BENCHMARK_KEY"
SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
TEMPLATE = """Write one search query that the passage below answers.
Answer with one JSON object and nothing else: {"query": "..."}

Passage:
{{ passage }}
"""

# distilabel silences the log of httpx, but not that of httpx2, which newer versions of openai use: a line for each
# request would be a tenth of its time.
logging.getLogger("httpx2").setLevel(logging.CRITICAL)


def main() -> None:
    """Run the pipeline; write how long `Pipeline.run` took and how many rows came out with an answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--task", choices=["text", "structured"], default="text")
    given = parser.parse_args()
    lines = given.corpus.read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line)["text"] for line in lines]
    make = _make_text_task if given.task == "text" else _make_structured_task
    started = time.monotonic()
    with Pipeline(name="overhead") as pipeline:
        column = "passage" if given.task == "text" else "anchor"
        load = LoadDataFromDicts(data=[{column: passage} for passage in passages], batch_size=given.batch)
        load >> make(given.base_url, given.batch)
    made = pipeline.run(use_cache=False)["default"]["train"]
    seconds = time.monotonic() - started
    answers = made["generation" if given.task == "text" else "positive"]
    found = {"seconds": seconds, "good": sum(map(bool, answers))}
    given.out.mkdir(exist_ok=True)
    (given.out / "found.json").write_text(json.dumps(found), encoding="utf-8")


def _make_text_task(base_url: str, batch: int) -> Any:  # Any: distilabel has no types here
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    llm = OpenAILLM(
        model="test",
        base_url=base_url,
        api_key=os.environ[KEY_NAME],
        generation_kwargs={"max_new_tokens": 1024, "extra_body": {"response_format": shape}},
    )
    return TextGeneration(llm=llm, template=TEMPLATE, columns=["passage"], input_batch_size=batch)


def _make_structured_task(base_url: str, batch: int) -> Any:  # Any: distilabel has no types here
    import instructor  # type: ignore[import-not-found]

    # Its default are tool calls, which not every server has, and its setting `mode` fails on the name of another.
    wrapping._client_patcher = lambda _: (instructor.from_openai, instructor.Mode.JSON_SCHEMA)
    return GenerateSentencePair(
        llm=OpenAILLM(
            model="test",
            base_url=base_url,
            api_key=os.environ[KEY_NAME],
            generation_kwargs={"max_new_tokens": 1024},
        ),
        action="query",
        use_default_structured_output=True,
        input_batch_size=batch,
    )


if __name__ == "__main__":
    main()
