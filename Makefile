# The verbs of this repository, the same for people and for CI. `make help` lists them.
# Needs: make, python3 (3.11 or newer) with venv. Node.js and Chromium only for their tests.

PYTHON  ?= python3
PORT    ?= 8000
WORKERS ?= 2
JOBS    ?= 4
ONLY    ?=
KIND    ?= reload
SECONDS ?= 30
ENGINE  ?=
ARGS    ?=

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/stamps
CLIENT := clients/javascript
WIRE   := tests/wire/node

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench soak clean

help: ## list the verbs
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(STAMPS)/tasks ## run the seat map and a worker (PORT=8000 WORKERS=2)
	@echo "==> Preparing the demo's database"
	@cd examples/seatmap && ../../$(BIN)/python manage.py migrate --verbosity 0
	@cd examples/seatmap && ../../$(BIN)/python manage.py load_venue --url http://127.0.0.1:$(PORT)/
	@echo "==> Starting a worker and the server; Ctrl+C stops both"
	@cd examples/seatmap && exec ../../$(BIN)/python run.py --bind 127.0.0.1:$(PORT) --workers $(WORKERS)

test: $(STAMPS)/test node-modules ## run the tests (JOBS=4 at a time; ARGS="tests/docs -x" narrows them)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMPS)/lint $(STAMPS)/test ## ruff, mypy --strict and the import order
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

docs: $(STAMPS)/docs ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -n -b html docs docs/_build/html
	@echo "==> Open docs/_build/html/index.html"

bench: $(STAMPS)/bench ## measure, beside other servers (ONLY=fanout, group_send, engines …)
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

soak: $(STAMPS)/test ## faults under load, everything counted (KIND=reload, or ENGINE=redis SECONDS=60)
	$(BIN)/python -m soak --kind $(KIND) --seconds $(SECONDS) $(if $(ENGINE),--engine $(ENGINE)) $(ARGS)

clean: ## remove what the other verbs made
	rm -rf $(VENV) docs/_build build dist benchmarks/build $(CLIENT)/node_modules $(WIRE)/node_modules \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f examples/seatmap/db.sqlite3* examples/seatmap/tickets.txt*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is newer than pyproject.toml once its extra is installed, so a second
# run starts at once.

$(STAMPS)/venv:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "Seaway needs Python 3.11 or newer, and there is no $(PYTHON)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Seaway needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
		"Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "==> Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) >/dev/null || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot create a virtual environment." \
		"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

# What the tests need has what the demo needs.
$(STAMPS)/tasks $(STAMPS)/test $(STAMPS)/lint $(STAMPS)/docs $(STAMPS)/bench: \
		pyproject.toml | $(STAMPS)/venv
	@echo "==> Installing Seaway with its '$(@F)' extra into $(VENV) (a minute or so, once)"
	@$(PIP) install --editable '.[$(@F)]'
	@touch $@ $(if $(filter test,$(@F)),$(STAMPS)/tasks)

# What the JavaScript client is tested with (the client itself needs nothing but a browser), and the
# clients of the program in another language that proves docs/reference/layer-wire.md.

.PHONY: node-modules
node-modules:
	@if ! command -v npm >/dev/null; then \
		echo "==> Node.js and npm are not installed: tests that need them will be skipped"; exit; \
	fi; \
	for project in $(CLIENT) $(WIRE); do \
		if [ -f $$project/package-lock.json ] && \
			! [ $$project/node_modules/.package-lock.json -nt $$project/package-lock.json ]; then \
			echo "==> Installing what is tested in $$project" && \
			(cd $$project && npm ci --no-audit --no-fund) || exit 1; \
		fi; \
	done
