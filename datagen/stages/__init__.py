"""The stages, one file each. They never import each other nor a concrete backend."""
