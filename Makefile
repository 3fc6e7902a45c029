# make demo · make test · make check · make test-all · make test-nightly · make bench · make bench-quick · make bench-compare. Each sets up what it needs, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export MLFLOW_DISABLE_TELEMETRY := true
export OMP_NUM_THREADS := 1
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile
# Monte Carlo, trained worlds, outages and signals by the clock: long, rarely broken, and some need a machine that does nothing else.
NIGHTLY := tests/report/statistics/test_error_rates.py tests/report/statistics/test_coverage_of_intervals.py \
	tests/engine/training/test_dial_recovery.py tests/engine/tracking/test_outages.py tests/scoring/test_stop.py \
	tests/system/test_stop.py tests/pipelines/test_avmnist_compare.py tests/pipelines/test_avmnist_tie.py \
	tests/scoring/workers/test_many_studies.py

.PHONY: setup demo docs test test-all test-system test-nightly test-cuda bench-cuda check bench bench-quick bench-compare clean

setup: $(VENV)/.ready

# The lock holds exact versions; i2m2_med itself is installed editable on top. Nothing happens twice.
$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "setting up $(VENV): about 7 GB, a few minutes, once"
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, this is " + sys.version)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --group backbones || echo "without the backbones: tests that use them are skipped"
	@touch $@

demo: setup
	@env -u OMP_NUM_THREADS $(BIN)/i2m2 demo

# Reference pages are made from the code, then the site, in build/docs; a broken link or an undocumented name ends it. The output in the
# tutorials is that of `python -m tests.tutorials`, which takes minutes.
docs: setup
	$(BIN)/python -m i2m2_med.config.reference > docs/settings.md
	$(BIN)/python -m i2m2_med.predictions > docs/data_dictionary.md
	$(BIN)/python -c "import sys; from i2m2_med.cli import reference_page; sys.stdout.write(reference_page())" > docs/cli.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: setup
	$(PYTEST) -m "not slow and not cuda" --ignore tests/benchmarks --durations 10

test-all: setup
	$(PYTEST) -m "slow and not cuda" --ignore tests/benchmarks $(addprefix --ignore ,$(NIGHTLY)) --timeout 1500

# What of test-all every change has to pass: real servers, a real database, real wheels, the site (strict), the tutorials' own output, each
# verb called. The rest is long and rarely broken.
test-system: setup
	$(PYTEST) -m "slow and not cuda" --timeout 1500 tests/system/test_server.py tests/system/test_mimic3_database.py \
		tests/system/test_deployment.py tests/system/test_wheel.py tests/system/test_docs.py tests/system/test_tutorials.py \
		tests/pipelines/test_every_verb.py

test-nightly: setup
	$(PYTEST) -m "not cuda" --timeout 1500 $(NIGHTLY)

test-cuda: setup
	$(BIN)/python -m pytest -q -m cuda tests/cuda

bench-cuda: setup
	$(call benchmarks,cuda,cuda)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/contracts tests/combiners -m "not slow and not cuda"

# Every figure of docs/benchmarks.md that a CPU can show, as ratios of one run: build/bench/bench.md and .json. What failed or had no data is named there.
define benchmarks
	@mkdir -p build/bench
	@JAXTYPING_DISABLE=1 $(BIN)/python -m pytest -q -s tests/benchmarks -m "$(2)" --benchmark-enable --benchmark-only --benchmark-quiet \
		--benchmark-json=build/bench/$(1).json; ended=$$?; \
	$(BIN)/python -m tests.benchmarks.tables build/bench/$(1).json > build/bench/$(1).md && cat build/bench/$(1).md; exit $$ended
endef

bench: setup
	$(call benchmarks,bench,not cuda)

bench-quick: setup
	$(call benchmarks,quick,quick and not cuda)

# make bench-compare AGAINST=stored.json [RUN=build/bench/quick.json]: what got worse by more than the spread; fails if anything did.
RUN ?= build/bench/bench.json
bench-compare: setup
	@test -n "$(AGAINST)" || { echo "which run? make bench-compare AGAINST=stored.json"; exit 1; }
	@$(BIN)/python -m tests.benchmarks.tables $(RUN) --against $(AGAINST)

clean:
	rm -rf $(VENV) build dist *.egg-info i2m2_work
