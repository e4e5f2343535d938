# One entry point for people and CI. `make help` lists everything.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILE := $(VENV)/lock/bin/uv pip compile --generate-hashes --universal --python-version 3.11 \
  --no-emit-index-url --no-header --quiet

include e2e/devcluster/devcluster.mk

.PHONY: help demo test check gen lock wheels fmt unit differential sim mutants contract conformance e2e e2e-install e2e-helm e2e-gitops e2e-observe chaos bench scale fuzz sbom audit image clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  \033[36m%-15s\033[0m %s\n", $$1, $$2}'

demo: $(READY) cluster ## Run the flights pipeline as real pods on a real Kubernetes, and show its report
	@$(BIN)/python -m e2e.demo

test: check unit contract ## Everything but the end-to-end suite: checks, unit and property tests, contract tests

unit: $(READY) ## Unit and property tests; no cluster
	@$(BIN)/pytest tests --ignore tests/contract

differential: $(READY) ## The engine against the reference interpreter on N random scenarios (20,000)
	@$(BIN)/python -m tests.property.differential --count $(or $(N),20000)

sim: $(READY) ## The shipped operator in a simulated cluster under every fault: SEEDS random runs (2,000), or SEED=n with its story
	@$(BIN)/python -m tests.sim.campaign $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000))
	@$(if $(SEED),:,$(BIN)/python -m tests.sim.prefixes --most $(or $(MOST),4))

mutants: $(READY) ## Engines and controllers that are broken on purpose: each must be caught by the tests that it names
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only '$(ONLY)')

contract: $(READY) cluster ## The CRDs against the real API server
	@$(BIN)/pytest tests/contract

conformance: $(READY) cluster ## N random request sequences (3,000) against the API server in memory and the real one
	@$(BIN)/python -m tests.conformance --sequences $(or $(N),3000) --seed $(or $(SEED),1)

e2e: KWOK_NODES = 1
e2e: $(READY) cluster ## The end-to-end suite: real pods, real faults
	@$(DEVCLUSTER) images python
	@$(BIN)/pytest e2e/tests $(if $(K),-k '$(K)')

e2e-install: $(READY) cluster ## Build the image, install the chart with the real Helm, run hello, uninstall
	@$(BIN)/python -m e2e.install

e2e-helm: $(READY) cluster ## The image and the chart from installation over upgrade and rollback to removal, with Helm 4 and 3
	@$(BIN)/python -m e2e.helm

e2e-gitops: $(READY) cluster ## A real Argo CD installs Fairlead from git, and runs workflows: waves, hooks, self-heal, prune, drift, actions
	@$(BIN)/pytest e2e/gitops/tests $(if $(K),-k '$(K)')

e2e-observe: $(READY) ## A real Prometheus on an operator under load: every dashboard panel answers, every alert fires for its fault (CHARTS=folder, ONLY=faults)
	@$(DEVCLUSTER) up --kwok-nodes 1
	@$(BIN)/pytest e2e/observe
	@$(BIN)/python -m e2e.observe $(if $(CHARTS),--charts $(CHARTS)) $(addprefix --only ,$(ONLY))

chaos: $(READY) ## Faults on the real control plane, judged by its audit log: 100 kills, lost nodes, … (ONLY=name SEED=n)
	@$(DEVCLUSTER) up --kwok-nodes 1
	@$(BIN)/python -m e2e.chaos $(addprefix --only ,$(ONLY)) $(if $(SEED),--seed $(SEED))

bench: $(READY) ## Fairlead beside a bare create-and-watch loop, in one run, as ratios; QUICK=1 in three minutes, SHAPE="a b" some, ADD=1 to the last result
	@$(DEVCLUSTER) up --kwok-nodes 1
	@$(BIN)/python -m e2e.bench $(if $(QUICK),--quick) $(addprefix --shape ,$(SHAPE)) $(if $(ADD),--add) $(if $(OUTPUT),--output $(OUTPUT)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SLACK),--slack $(SLACK))

scale: $(READY) ## A list of 10,000 items and a graph of 10,000 tasks on simulated nodes; no object over 1 MB
	@$(DEVCLUSTER) up --kwok-nodes 1
	@$(BIN)/python -m e2e.scale

fuzz: $(READY) ## What strangers can hand in (YAML, expressions, definitions, answers, …), by atheris: SECONDS each (60), or ONLY="a b"
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(ONLY)

sbom: $(READY) ## The Python packages of the image, as CycloneDX: .cache/sbom/fairlead.cdx.json
	@mkdir -p .cache/sbom
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements requirements/runtime.lock --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --spec-version 1.6 --output-format JSON --output-file .cache/sbom/fairlead.cdx.json
	@echo "wrote .cache/sbom/fairlead.cdx.json"

audit: ## Known vulnerabilities of what the image is made of; asks a service on the internet
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet 'pip-audit>=2.10,<3'
	@$(VENV)/audit/bin/pip-audit --require-hashes --disable-pip --requirement requirements/runtime.lock

image: $(READY) cluster ## Build the operator's image, say how large it is, and load it into the dev cluster
	@$(BIN)/python -m e2e.install --image-only

wheels: $(READY) ## Fetch what the image is made of into wheelhouse/, so that `docker build` needs no network
	@$(BIN)/python -m tools.wheels

check: $(READY) ## Import contracts, lint, types, layout, generated files without drift
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/ruff check operator tests e2e tools examples
	@$(BIN)/ruff format --check operator tests e2e tools examples
	@$(BIN)/mypy
	@$(BIN)/python tools/checks.py
	@$(BIN)/python -m tools.generate --check

gen: $(READY) ## Write the generated files: CRDs, dashboards, alerts, metric table, CLI reference, list of mutants, the chart's schema and README, …
	@$(BIN)/python -m tools.generate

fmt: $(READY) ## Format the code
	@$(BIN)/ruff check --fix operator tests e2e tools examples
	@$(BIN)/ruff format operator tests e2e tools examples

lock: ## Resolve all dependencies anew into requirements/*.lock
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet 'uv>=0.9'
	@$(COMPILE) pyproject.toml requirements/dev.in --extra demo --extra traces --extra archive --upgrade -o requirements/dev.lock
	@# The image gets what was tested: the versions of dev.lock, without the tools.
	@$(COMPILE) pyproject.toml --extra traces --extra archive --constraint requirements/dev.lock --no-annotate --upgrade -o requirements/runtime.lock
	@$(COMPILE) requirements/build.in --constraint requirements/dev.lock --no-annotate --upgrade -o requirements/build.lock

clean: ## Remove what the tools leave behind (not the cluster: make cluster-down)
	@rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	@echo "Setting up the Python environment in $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
