# The two commands a newcomer needs are `make run` and `make test`; `make help` lists the rest.
PY := .venv/bin/python

# Without its bytecode, pytest rewrites every module again in each worker: seconds of each run.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run fuzz atheris ohif axe pictures demo servers test test-rest test-long test-newer test-kubernetes test-kubernetes-long manifests lint check unit bench lock format clean docs peers release coverage scale

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the locked dependencies
	@sh deploy/setup.sh

run: setup ## start every role on embedded stores under ./var, with ./gantry.yaml where there is one (Ctrl-C stops)
	@ohif="$$(sh deploy/ohif.sh || true)"; [ -f gantry.yaml ] && config="--config gantry.yaml" || config=""; \
		$${ohif:+env GANTRY_HTTP__OHIF="$$ohif"} .venv/bin/gantry serve --data var --lab $$config

ohif:
	@sh deploy/ohif.sh >/dev/null || true

axe:
	@sh deploy/axe.sh >/dev/null || true

pictures: setup ohif ## take the pictures of docs/page.md anew
	@GANTRY_PICTURES=docs/images $(PY) -m pytest -q tests/e2e/test_viewer_pictures.py tests/e2e/test_viewer_documents.py

demo: setup ## store, find, get, move and commit real files against a temporary archive
	@.venv/bin/gantry demo

peers:
	@sh deploy/peers.sh

servers:
	@sh deploy/images/servers.sh

test: setup peers servers ohif axe atheris ## the tests, with foreign peers and real servers: a quarter of an hour (docs/testing.md)
	@GANTRY_TESTS=first $(PY) -m tests.support.rerun

test-rest: setup peers servers ohif axe atheris ## what `make test` leaves to CI: the better part of an hour
	@GANTRY_TESTS=rest $(PY) -m tests.support.rerun

test-long: setup peers servers ohif axe atheris ## every test, and many more examples of property tests: two hours or more
	@GANTRY_TESTS=long $(PY) -m tests.support.rerun

test-newer: ## unit and integration tests on the Python of Debian 13 (root on Debian)
	@sh tests/on_debian.sh trixie

test-kubernetes: setup peers servers ## the Helm chart: its own suites, and on a real node, brought up for it (docs/kubernetes.md)
	@sh deploy/images/artefacts.sh kubernetes
	@sh deploy/images/artefacts.sh unittest || true
	@GANTRY_TEST_KUBERNETES=short $(PY) -m tests.support.rerun --one-after-the-other -s tests/kubernetes

test-kubernetes-long: setup peers servers
	@sh deploy/images/artefacts.sh kubernetes
	@sh deploy/images/artefacts.sh unittest || true
	@GANTRY_TEST_KUBERNETES=long $(PY) -m tests.support.rerun --one-after-the-other -s tests/kubernetes

fuzz: atheris ## look for inputs that break a reader of what strangers send (SECONDS_EACH=60, KEEP=1 keeps what reached further)
	@! $(PY) -c "import atheris" 2>/dev/null || $(PY) -m tests.fuzz --seconds $${SECONDS_EACH:-60} $${KEEP:+--keep}

atheris: setup
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/requirements.lock 2>/dev/null || \
		echo "set-up: there is no atheris for this machine; fuzzing is skipped"

manifests: setup ## render deploy/kubernetes from the chart, and the schema of its values
	@$(PY) deploy/helm/schema.py
	@sh deploy/helm/manifests.sh

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

check: lint ## lint, format, types, import rules, rules of the house, unit tests (under a minute)
	@GANTRY_TESTS=quick $(PY) -m tests.support.shares tests/unit tests/house

unit: setup ## unit tests alone
	@GANTRY_TESTS=quick $(PY) -m tests.support.shares tests/unit

coverage: setup ## how much of each pure module its unit tests reach
	@GANTRY_TESTS=quick .venv/bin/coverage run -m pytest -q tests/unit >/dev/null || true
	@.venv/bin/coverage report

format: setup ## format the code
	@.venv/bin/ruff check --fix -q .
	@.venv/bin/ruff format -q .

bench: setup peers ## measure against DCMTK, Orthanc and pynetdicom (docs/benchmarks.md)
	@$(PY) -m tests.bench

scale: setup ## the tables of docs/scale.md anew, from a simulation
	@$(PY) -m tests.scale --write

docs: setup ## regenerate docs/settings.md, docs/metrics.md the tree of docs/architecture.md and the tables of docs/conformance.md
	@$(PY) -m gantry.services.docs.generate

release: setup ## wheel, image, SBOM and checksums in ./dist, from a clean checkout
	@sh deploy/release.sh

lock: setup ## pin the dependencies anew
	@$(PY) -m pip install --quiet pip-tools
	@$(PY) -m piptools compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements.lock pyproject.toml

clean: ## remove .venv and caches (never ./var)
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
