# One command each: `make bench` answers, `make test` checks. Both install what they need into .venv, once.

PYTHON ?= python3
VENV := .venv
CONSTRAINTS := constraints.txt
EXTRAS := dev,all
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ENGINES := $(VENV)/.engines

# Where to take torch and torchvision from; unset, the default index is used. README: the small torch.
TORCH_INDEX_URL ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help install engines bench asv-here gate readme lint types build clean
.PHONY: test tests tests-of-compilers tests-of-engines tests-of-peers tests-of-the-rest
.PHONY: coverage perf test-readme test-avx2 test-newest test-newest-avx2

help: ## list what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(STAMP) ## make .venv with the pinned set

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX_URL),$(PIP) install --quiet --index-url $(TORCH_INDEX_URL) torch torchvision -c $(CONSTRAINTS))
	$(PIP) install --quiet --constraint $(CONSTRAINTS) hatchling editables
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[dev]'
	touch $@

engines: $(ENGINES) ## add every engine that runs on a CPU: onnxruntime, openvino, inductor, executorch, litert, tflm

$(ENGINES): $(STAMP)
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[$(EXTRAS)]'
	touch $@

bench: $(STAMP) ## train, race float32 against int8 on this CPU, print the answer
	$(BIN)/int8bench run -o reports/run.json

# Which commits asv-here measures: a name, or a range such as HEAD~3..HEAD.
COMMITS ?= HEAD

asv-here: $(STAMP) ## the asv suite over COMMITS=HEAD~3..HEAD, in .venv
	$(BIN)/int8bench asv $(COMMITS)

# What `make gate` races HEAD against: the commit that this branch shares with it.
BASE ?= origin/main

gate: $(STAMP) ## is this commit worse than the one it left BASE=origin/main at?
	$(BIN)/int8bench gate --base "$$(git merge-base $(BASE) HEAD)" --markdown reports/gate.md

readme: $(STAMP) ## put the table of reports/run.json into the README
	$(BIN)/python scripts/readme_output.py reports/run.json

test: $(ENGINES) ## lint, types and tests, of every engine
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory BESIDE="$(firstword $(TYPES))" tests

# A lesser processor, as far as one can be played here: what dispatches by it is held to AVX2. What asks the processor
# itself is not, such as engine x86, which uses oneDNN where there is AVX-512 VNNI.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 FBGEMM_ENABLE_INSTRUCTIONS=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"

test-avx2: $(ENGINES) ## the tests, as on a processor without AVX-512
	$(AVX2) $(MAKE) --no-print-directory tests

# In an environment of their own; constraints-newest.txt says which engines that leaves out, and why.
NEWEST := VENV=.venv-newest CONSTRAINTS=constraints-newest.txt EXTRAS=dev,onnxruntime,openvino,inductor,executorch
LEFT_OUT := INT8BENCH_LEFT_OUT=litert,tflm

test-newest: ## the tests, with the newest torch and pytest
	$(LEFT_OUT) $(MAKE) --no-print-directory $(NEWEST) tests

test-newest-avx2: ## both
	$(LEFT_OUT) $(AVX2) $(MAKE) --no-print-directory $(NEWEST) tests

# In parts of like length, two at a time, the longest first: whichever core is done takes the next one. What one session
# makes once (a conversion, a trained model) is in one part. Threads wait asleep: one that spins takes the other part's core.
COMPILERS := $(addprefix tests/engines/,inductor executorch tflite) tests/e2e/test_broken_engines.py
OF_ENGINES := $(filter-out $(COMPILERS),$(wildcard tests/engines/*)) \
	$(addprefix tests/study/session/test_,conversions.py probing.py)
OF_PEERS := $(wildcard tests/test_pytest_plugin*.py) $(addprefix tests/,lab/agent compare/duet compare/pytest \
	e2e/test_cases.py test_packaging.py test_readme.py)
PARTS := tests-of-the-rest tests-of-peers tests-of-engines tests-of-compilers

tests: $(ENGINES)
	cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && \
	OMP_WAIT_POLICY=PASSIVE INT8BENCH_TEST_CACHE="$$cache" $(MAKE) --no-print-directory --jobs=2 --output-sync=target $(PARTS) $(BESIDE)

# Counting lines makes our own code half as slow again, so that it has a command of its own. The floor in pyproject.toml
# is for all parts together: each of them would be below it.
coverage: ## the tests, and which lines they ran
	$(MAKE) --no-print-directory COUNTED="--cov --cov-report= --cov-fail-under=0" tests
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

PYTEST = COVERAGE_FILE=.coverage.$(@:tests-of-%=%) $(BIN)/python -m pytest $(COUNTED)

tests-of-compilers:
	$(PYTEST) $(COMPILERS)

tests-of-engines:
	$(PYTEST) $(OF_ENGINES)

tests-of-peers:
	$(PYTEST) $(OF_PEERS)

tests-of-the-rest:
	$(PYTEST) $(addprefix --ignore=,$(COMPILERS) $(OF_ENGINES) $(OF_PEERS) tests/perf tests/readme)

# Nothing else may run beside these: a busy machine makes a race unclear, and that is red here.
perf: $(STAMP) ## our own performance, alone on the machine: ratios with thresholds
	$(BIN)/python -m pytest tests/perf

# Three quarters of an hour, since what a person waits for is waited for; quick ones are among the tests.
test-readme: $(ENGINES) ## the long commands of README and CI.md, typed as they stand
	$(BIN)/python -m pytest tests/readme

lint: $(STAMP) ## ruff, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

# The oldest Python that we support, which runs the tests, and those that the types alone are held against: each takes
# half a minute where mypy has not looked before.
PYTHONS := 3.11 3.12 3.13 3.14
TYPES := $(addprefix types-,$(PYTHONS))
.PHONY: $(TYPES)

types: $(TYPES) ## mypy, strict, for every Python

$(TYPES): types-%: $(STAMP)
	$(BIN)/mypy --python-version $*

build: $(STAMP) ## a wheel in dist/
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove both environments and what was built
	rm -rf $(VENV) .venv-newest dist build .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
