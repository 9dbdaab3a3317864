# Two commands matter: `make demo` shows the job at work, `make test` proves it. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Where it is allowed, faults have a network and mounts of their own; where not, the report says what was left out.
NAMESPACES = $(shell unshare --map-root-user --net --mount ip link show lo >/dev/null 2>&1 && echo "FAULTS_IN_A_NAMESPACE=1 unshare --map-root-user --net --mount")
MOUNTS = $(shell unshare --map-root-user --mount true >/dev/null 2>&1 && echo "unshare --map-root-user --mount")

# Images for Kubernetes (docs/kubernetes.md): the names that the overlays in k8s/ have.
IMAGE       ?= lab/torghut-ta
TAG         ?= 0.1.0
FLINK_IMAGE ?= flink:2.2.1-scala_2.12-java17
# Of /opt/venv, where the image's files are put together without Docker; the image itself has 3.12.
IMAGE_PYTHON ?= $(CURDIR)/$(BIN)/python

.PHONY: help setup demo ui test test-more test-kills test-faults test-k8s test-k8s-operator test-image check lint audit bench reference docs docs-serve image image-tree up down clean

help:  ## List the targets.
	@grep -E '^[a-z0-9 -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(STAMP)  ## Make .venv with the `ta` command.

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(f"Python 3.11 or 3.12 is needed, {sys.version.split()[0]} was found: make PYTHON=python3.12 setup" if sys.version_info[:2] not in {(3, 11), (3, 12)} else 0)'
	@java -version 2>&1 | grep -q . || { echo 'Java 17 is needed: put `java` on PATH'; exit 1; }
	@mvn -v >/dev/null 2>&1 || { echo 'Maven is needed: put `mvn` on PATH'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=24" "setuptools>=69" wheel
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,platform]'
	@touch $@

demo: setup  ## The whole platform once, under a simulated market; or make demo RECORDING="trades.jsonl.gz quotes.jsonl.gz".
	$(BIN)/ta demo $(RECORDING)

ui: setup  ## Dagster on the local stack: assets, checks, sensors, schedules; Ctrl-C ends it.
	$(BIN)/ta up
	$(BIN)/ta ui

test: setup  ## Run every test, the local stack included.
	$(BIN)/pytest

test-more: setup  ## What else is proved on the running stack: the pages' commands, the alerts under a real Prometheus, the reader in trouble.
	$(BIN)/pytest -n 0 -m more tests/integration/test_pages_on_the_stack.py
	$(BIN)/pytest -n 0 -m more --ignore tests/integration/test_pages_on_the_stack.py

test-kills: setup  ## End components with kill -9 while a market runs; about half an hour.
	$(BIN)/pytest -m kills

test-faults: setup  ## Thirty faults while a market runs, and what else takes long; about an hour. Its report: docs/benchmarks/.
	$(BIN)/ta jars
	$(NAMESPACES) $(BIN)/pytest -n 0 -m faults tests/faults
	$(MOUNTS) $(BIN)/pytest -n 0 -m faults --ignore tests/faults

test-k8s: setup  ## The kubernetes runtime against a real etcd and API server; built once, which needs Go and minutes.
	$(BIN)/pytest -n 0 -m "k8s and not image" tests/k8s

test-k8s-operator: setup  ## The real operator on a cluster of one node that this makes; needs root, Go, Debian's packages. OPERATOR_JARS, OPERATOR_PYTHON.
	$(BIN)/pytest -n 0 -m operator tests/k8s_operator

test-image: setup  ## JobManager and TaskManager from the image's file tree run the job; IMAGE_PYTHON.
	IMAGE_PYTHON=$(IMAGE_PYTHON) $(BIN)/pytest -n 0 -m image tests/k8s

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# --strict: a package about which nothing can be learned is a failure too, and so is a scanner that is not there.
audit: setup  ## Ask for known vulnerabilities of each pinned package and jar; needs the network, and osv-scanner.
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt
	@command -v osv-scanner >/dev/null || { echo 'osv-scanner is needed for the jars: put it on PATH'; exit 1; }
	osv-scanner scan source --lockfile flink/jars/pom.xml --lockfile flink/java/pom.xml

check: lint test  ## Format, lint, types, layers, tests.

bench: setup  ## Measure; the report goes to docs/benchmarks/.
	$(BIN)/ta bench $(addprefix --day ,$(wildcard $(addprefix $(or $(TA_SHARED_DATA),../shared/data)/xxx_20180102_,trades.jsonl.gz quotes.jsonl.gz)))

reference: setup  ## Write docs/reference anew from the code: settings, commands, schemas.
	$(BIN)/python -m ta_pipeline.reference

docs: reference  ## Build the documentation as a site in build/docs; a wrong link or a page outside of the menu fails.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/site/mkdocs.yml

docs-serve: setup  ## The same at http://127.0.0.1:13080, built anew with every change; Ctrl-C ends it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --config-file docs/site/mkdocs.yml --dev-addr 127.0.0.1:13080

image:  ## Build the images for Kubernetes, linux/amd64; needs Docker with buildx. IMAGE, TAG, FLINK_IMAGE.
	@docker buildx version >/dev/null 2>&1 || { echo 'Docker with its plugin buildx is needed for images; `docker buildx version` fails'; exit 1; }
	docker buildx build --platform linux/amd64 --file k8s/image/Dockerfile --build-arg FLINK_IMAGE=$(FLINK_IMAGE) --target job --tag $(IMAGE):$(TAG) .
	docker buildx build --platform linux/amd64 --file k8s/image/Dockerfile --build-arg FLINK_IMAGE=$(FLINK_IMAGE) --target platform --tag $(IMAGE)-platform:$(TAG) .

image-tree: setup  ## The files of the job's image in .local/image, without Docker (docs/kubernetes.md). IMAGE_PYTHON.
	$(BIN)/python -m ta_pipeline.kubernetes.image_tree --python $(IMAGE_PYTHON)

up down: setup  ## Start or stop the local stack.
	$(BIN)/ta $@

clean:  ## Remove what the stack and the build left, but not .venv.
	-$(BIN)/ta down
	rm -rf .local build out
