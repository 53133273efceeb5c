"""Training data in the formats of other frameworks: written from a run, and read back.

dataset    what is between all formats: one row a query, in the shape of the table train
catalog    what a format is: how it is told, read and written
files      folders and files             -> frames, some rows at a time
reading    a path                        -> a `Dataset`, whatever its format
content    a run, or a `Dataset`         -> rows and documents, some at a time
survey, split, fit, shapes, ordering     what all exports do with rows
writing    rows of a format              -> shards
export     all of that; `card` says what came of it
the rest   one module a family of formats
"""

from datagen.formats.card import Exported
from datagen.formats.dataset import ROWS, Dataset
from datagen.formats.export import export_run, write_dataset
from datagen.formats.options import BatchOptions, ExportOptions, read_batch_options, read_options
from datagen.formats.reading import FORMATS, detect_format, iterate_dataset, read_dataset

__all__ = [
    "FORMATS",
    "ROWS",
    "BatchOptions",
    "Dataset",
    "ExportOptions",
    "Exported",
    "detect_format",
    "export_run",
    "iterate_dataset",
    "read_batch_options",
    "read_dataset",
    "read_options",
    "write_dataset",
]
