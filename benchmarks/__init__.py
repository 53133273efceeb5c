"""Each claim of the README with the command that measures it, beside named peers. See benchmarks/README.md."""
