# The two commands that matter:
#   make demo [DATA=/folder/of/fits]   from nothing to a running site
#   make test                          everything that must hold
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
SITE ?= demo-site
PORT ?= 8080
# One more than there are processors: tests wait for servers for a third of their time.
TEST_PROCESSES ?= 3
ALADIN_LITE := skylane/portal/node_modules/aladin-lite/dist/aladin.js
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test lint format docs lock audit clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/install $(ALADIN_LITE)
	@$(BIN)/skylane demo --site "$(SITE)" --port "$(PORT)" $(if $(DATA),--data "$(DATA)")

test: $(STAMPS)/install-test $(STAMPS)/system-test $(ALADIN_LITE) lint
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup

lint: $(STAMPS)/install-test
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > $(STAMPS)/imports.log || (cat $(STAMPS)/imports.log; exit 1)

format: $(STAMPS)/install-test
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

docs: $(STAMPS)/install
	@$(BIN)/python -m skylane.documentation

# Each install step says once what it does, then is quiet.
$(STAMPS)/system:
	@mkdir -p $(STAMPS)
	@sh deploy/system-packages.sh demo
	@touch $@

$(STAMPS)/system-test: $(STAMPS)/system
	@sh deploy/system-packages.sh test
	@touch $@

$(BIN)/python: | $(STAMPS)/system
	@echo "Making the Python environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(STAMPS)/install: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing Skylane ..."
	@$(PIP) install --constraint constraints.txt --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/install-test: $(STAMPS)/install
	@echo "Installing what the tests need ..."
	@$(PIP) install --constraint constraints.txt --editable ".[test]"
	@touch $@

$(ALADIN_LITE): skylane/portal/package-lock.json | $(STAMPS)/system
	@echo "Fetching Aladin Lite for the portal page ..."
	@cd skylane/portal && npm ci --silent
	@touch $@

# Writes the versions that are installed now as the ones every install takes.
lock: $(STAMPS)/install-test
	@$(BIN)/python -m pip freeze --exclude-editable --exclude skylane > constraints.txt

# Compares the versions that every install takes with the public lists of known faults. It needs the
# network for these lists, and so is no part of the tests: docs/threat-model.md says when to run it.
audit:
	@mkdir -p $(STAMPS)
	@test -x $(STAMPS)/audit/bin/pip-audit || ($(PYTHON) -m venv $(STAMPS)/audit \
	  && $(STAMPS)/audit/bin/python -m pip --quiet --disable-pip-version-check install pip-audit)
	@$(STAMPS)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip
	@cd skylane/portal && npm audit --package-lock-only

clean:
	rm -rf $(VENV) $(STAMPS) skylane/portal/node_modules
