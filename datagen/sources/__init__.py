"""Any input becomes three frames: corpus, queries, pairs. The `clean` stage reads through here.

locate     what the user named      -> which files, in which format
frames     files                    -> one frame, columns as the user named them
columns    that frame               -> the columns of `tables.py`
qrels, pairs, inputs                -> the forms an input may have
runs                                -> the tables of an earlier run, which are taken over as they are
"""

from datagen.sources.columns import shape_nothing
from datagen.sources.fingerprints import input_fingerprint
from datagen.sources.inputs import RawInput, Slices, load_input, load_labels, load_queries
from datagen.sources.runs import RunTables, locate_run

__all__ = [
    "RawInput",
    "RunTables",
    "Slices",
    "input_fingerprint",
    "load_input",
    "load_labels",
    "load_queries",
    "locate_run",
    "shape_nothing",
]
