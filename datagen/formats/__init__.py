"""Training data in the formats of other frameworks: written from a run, and read back.

dataset    what is between all formats: one row a query, in the shape of the table train
files      folders and files             -> frames, some rows at a time
reading    a path                        -> a `Dataset`, whatever its format
the rest   one module a family of formats
"""

from datagen.formats.dataset import ROWS, Dataset
from datagen.formats.reading import FORMATS, detect_format, iterate_dataset, read_dataset

__all__ = ["FORMATS", "ROWS", "Dataset", "detect_format", "iterate_dataset", "read_dataset"]
