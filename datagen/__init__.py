"""datagen makes training data for text-embedding and reranking models."""

__version__ = "0.1.0"
