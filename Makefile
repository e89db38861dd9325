# `make demo`, `make test`: everything they need is made on the first call.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := outputs/demo

.PHONY: demo test test-slurm lint typecheck bench clean

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer not found: make PYTHON=/path/to/python3.11'; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,slurm,joblib,optuna]'
	touch $@

demo: $(STAMP)          ## phantom CTs in, a noise-tolerance report out; two processes share the grid
	@mkdir -p outputs
	OMP_NUM_THREADS=1 $(BIN)/python -m mandseg.train --config-name demo >$(DEMO).second.log 2>&1 & second=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/python -m mandseg.train --config-name demo; first=$$?; \
	wait $$second && exit $$first
	$(BIN)/mandseg report $(DEMO)

test: $(STAMP)          ## the whole suite; tests of the real data skip where the folder is absent
	WANDB_MODE=offline OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-slurm: $(STAMP)    ## a SLURM cluster on the loopback address, and all that clusters do to jobs; skips where apt can't
	@export PATH=$$PATH:/usr/sbin; command -v srun >/dev/null && command -v slurmctld >/dev/null && command -v munged >/dev/null || \
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends slurm-wlm munge; } || \
	echo 'slurm-wlm and munge are not here, and apt-get may not install them'
	WANDB_MODE=offline OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm -rs tests/slurm

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/lint-imports --no-cache

typecheck: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
