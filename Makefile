# make demo   installs into .venv and runs the main job on an embedded default: report.html
# make test   installs what tests need and runs them
# make lint   ruff and mypy
# make slow   the proofs that take minutes, and new examples for the laws that are tested on drawn ones
# make clean  removes what the others made, but not .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EMBODIED := $(BIN)/embodied-gen
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Small networks gain some percent from a second thread, and lose tenfold where they wait for a core that is not free.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test slow lint clean
.DEFAULT_GOAL := demo

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "embodied-gen needs Python 3.11 or newer; got " + sys.version.split()[0] + ". Run: make PYTHON=python3.12")'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q pip==26.3
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing embodied-gen with the extras data and viz into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[data,viz]'
	@touch $@

$(VENV)/.test: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing embodied-gen with all extras and the test tools into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]' --group dev
	@$(BIN)/python -m pip install -q -c constraints.txt --group compiled 2> /dev/null || \
	  echo "pydensecrf2 could not be built (is there a C++ compiler?): the tests against it are skipped"
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(EMBODIED) collect configs/avoid_flow.yaml --if-missing
	$(EMBODIED) train configs/avoid_flow.yaml --out runs/avoid-flow --resume
	$(EMBODIED) train configs/avoid_regression.yaml --out runs/avoid-regression --resume
	$(EMBODIED) evaluate runs/avoid-flow --video 3
	$(EMBODIED) evaluate runs/avoid-regression --video 1
	$(EMBODIED) compare runs/avoid-regression runs/avoid-flow
	$(EMBODIED) plan runs/avoid-flow --guide configs/guide_closed_gap.yaml --n 32
	$(EMBODIED) report runs/avoid-regression runs/avoid-flow --out report.html

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal

slow: $(VENV)/.test
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal -m 'hypothesis and not slow' --hypothesis-profile=exploring

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf runs data report.html .pytest_cache .mypy_cache .ruff_cache .hypothesis
