# make demo   shows the whole thing on this machine           make test      every test (the documents and the architecture are among them)
# make lint   ruff and mypy                                    make sabotage  breaks each promise on purpose and expects its test to notice
# make torture SEEDS=N KILLS=N   simulated power losses and real kills -9 under eight agents
# make hour SECONDS=N             collections without a pause under eight agents, and every live safeset compared
# make bench     compares with restic and borg                  make bench-full   with all data, goes on where it was broken off
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A directory with files of your own for the demo; without it some of the system's.
SOURCE ?=
SEEDS ?= 200
KILLS ?= 10
SEED ?= 1
SECONDS ?= 3600
# A file for the raw figures of the torture or the hour.
JSON ?=
# More words for the benchmarks.
ARGS ?=

.PHONY: demo test lint sabotage torture hour bench bench-full figures lock clean

$(VENV)/.ready: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(VENV)/.ready
	$(BIN)/vaultd demo $(if $(SOURCE),--source '$(subst ','\'',$(SOURCE))') --once

# Twice the cores of a small machine: many tests wait, for a disk, a time-out or each other's programs.
test: WORKERS ?= 4
test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy

sabotage: $(VENV)/.ready
	$(BIN)/python -m tests.sabotage

torture: WORKERS ?= 2
torture: $(VENV)/.ready
	$(BIN)/python -m tests.torture --seeds $(SEEDS) --kills $(KILLS) --seed $(SEED) --workers $(WORKERS) $(if $(JSON),--json '$(JSON)')

hour: $(VENV)/.ready
	$(BIN)/python -m tests.hour --seconds $(SECONDS) --seed $(SEED) $(if $(JSON),--json '$(JSON)')

# Compares with restic and borg, which must be on PATH, and writes docs/results/*.json and the tables made from them: a
# quarter of an hour, and hours. The second one goes on where it was broken off; ARGS=--again begins anew.
bench: $(VENV)/.ready
	$(BIN)/python -m benchmarks.bench --scale bench $(ARGS)

bench-full: $(VENV)/.ready
	$(BIN)/python -m benchmarks.bench --scale full $(ARGS)

# This product alone. Takes half an hour or more and about 12 GB of disk.
figures: $(VENV)/.ready
	$(BIN)/python -m benchmarks

lock: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --allow-unsafe --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) build *.egg-info
