# `make demo`, `make test`: everything they need is made on the first call.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := outputs/demo

.PHONY: demo test test-slurm test-hydra-next lint typecheck docs notebooks bench gpu-check torture mutants clean

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer not found: make PYTHON=/path/to/python3.11'; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,slurm,joblib,optuna]'
	touch $@

demo: $(STAMP)          ## phantom CTs in, a noise-tolerance report out; two processes share the grid
	@mkdir -p outputs
	OMP_NUM_THREADS=1 $(BIN)/python -m mandseg.train --config-name demo >$(DEMO).second.log 2>&1 & second=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/python -m mandseg.train --config-name demo; first=$$?; \
	wait $$second && exit $$first
	$(BIN)/mandseg report $(DEMO)

test: $(STAMP)          ## the whole suite; tests of the real data skip where the folder is absent
	WANDB_MODE=offline OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slurm: $(STAMP)    ## a SLURM cluster on the loopback address, and all that clusters do to jobs; skips where apt can't
	@export PATH=$$PATH:/usr/sbin; command -v srun >/dev/null && command -v slurmctld >/dev/null && command -v munged >/dev/null || \
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends slurm-wlm munge; } || \
	echo 'slurm-wlm and munge are not here, and apt-get may not install them'
	WANDB_MODE=offline OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm -rs tests/slurm

HYDRA_NEXT := .venv-hydra14

test-hydra-next: $(STAMP)  ## configs and launchers under the next Hydra, in front of the same packages
	test -x $(HYDRA_NEXT)/bin/python || $(BIN)/python -m venv --without-pip $(HYDRA_NEXT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --pre --no-deps --upgrade --target $(HYDRA_NEXT)/next \
	'hydra-core==1.4.0rc3' 'omegaconf==2.4.1rc1'
	$(BIN)/python -c "import site; print('$(CURDIR)/$(HYDRA_NEXT)/next', *(f'import site; site.addsitedir({p!r})' \
	for p in site.getsitepackages()), sep='\n')" > $$(echo $(HYDRA_NEXT)/lib/python*/site-packages)/next.pth
	WANDB_MODE=offline OMP_NUM_THREADS=1 $(HYDRA_NEXT)/bin/python -m pytest \
	tests/runs/test_config.py tests/runs/test_settings.py tests/system/test_instantiation.py tests/runs/test_launchers.py

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/lint-imports --no-cache

typecheck: $(STAMP)
	$(BIN)/mypy

docs: $(STAMP)          ## the docs site in build/docs; a warning or a broken link fails
	$(BIN)/sphinx-build -q -W --keep-going -c docs/site docs build/docs

notebooks: $(STAMP)     ## the notebooks of the docs, from the first cell to the last
	WANDB_MODE=offline OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -W default --nbmake docs/notebooks

BENCH := metrics preparation start_up patches training_step inference growth

PEERS := .venv-bench
PURELIB := import sysconfig; print(sysconfig.get_path("purelib"))

$(PEERS)/.installed: $(STAMP) benchmarks/requirements.txt
	$(BIN)/python -m venv $(PEERS)
	echo "import site; site.addsitedir('$$($(BIN)/python -c '$(PURELIB)')')" \
	> "$$($(PEERS)/bin/python -c '$(PURELIB)')/mandseg.pth"
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt -c constraints.txt
	$(PEERS)/bin/python -m pip uninstall --quiet --yes torchvision  # built for CUDA; no peer needs it here
	touch $@

bench: $(PEERS)/.installed ## beside nnU-Net, MONAI, TorchIO and surface-distance; writes the tables of docs/performance.md
	@for name in $(BENCH); do echo "== $$name"; OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/tables.py

gpu-check: $(STAMP)     ## at most eight minutes on a machine with a GPU: docs/performance.md
	$(BIN)/python benchmarks/gpu_check.py --out gpu-check

MUTATIONS ?= 10000
KILLS ?= 50

torture: $(STAMP)       ## damaged files, kills, full disks; takes hours and writes the tables of docs/reliability.md
	OMP_NUM_THREADS=1 WANDB_MODE=offline PYTHONPATH=tests/fixtures $(BIN)/python tests/torture/torture.py \
	--mutations $(MUTATIONS) --kills $(KILLS)

MUTATION := .venv-mutation
MUTANTS ?= 25
SEED ?= 0

mutants: $(STAMP)       ## changes single places of metrics, plans and statistics; which changes does no test notice?
	test -d $(MUTATION)/cosmic_ray || $(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(MUTATION) \
	-r tests/mutation/requirements.txt -c constraints.txt
	OMP_NUM_THREADS=1 WANDB_MODE=offline PYTHONPATH=$(MUTATION) $(BIN)/python tests/mutation/mutants.py \
	--mutants $(MUTANTS) --seed $(SEED)

clean:
	rm -rf $(VENV) $(HYDRA_NEXT) $(MUTATION) $(PEERS) dist build .pytest_cache .mypy_cache .ruff_cache
