# make demo    set up and run the embedded study            make test    set up and run every check
# make bench   speed, with peers in the same run            make clean   remove the environment and the results
# make test-extras   run the tests of the extras `clip` and `sam` in an environment of their own, beside the first
# make gallery docs/gallery.md and docs/scales.md, with pictures of every perturbation
# make docs    the pages of docs/ as a site that needs no network, in build/docs
#
# PYTHON         interpreter to start from (3.11 or newer)
# STUDY          configuration to run instead of the demo
# QUICK          with bench: a few cases, to see that it runs
# TORCH_INDEX    package index for PyTorch; https://download.pytorch.org/whl/cpu holds the small CPU build for Linux

PYTHON ?= python3
STUDY ?= config/config.yaml
VENV := .venv
BIN := $(VENV)/bin
EXTRAS_VENV := .venv-extras
DOCS_VENV := .venv-docs
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXTRA_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test test-extras lint bench gallery docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	@$(BIN)/medstress validate $(STUDY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --profile profiles/local --configfile $(STUDY) \
	    --report "$$($(BIN)/medstress folder $(STUDY))/report.html" --report-after-run
	@$(BIN)/medstress outputs $(STUDY)

# Two at a time: tests that wait for a scheduler leave a core to the others. Long files come first (tests/conftest.py).
test: $(VENV)/installed-test lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-extras: $(EXTRAS_VENV)/installed
	$(EXTRAS_VENV)/bin/python -m pytest tests/extras

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakefmt --check Snakefile workflow
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint

bench: $(VENV)/installed-test
	@mkdir -p .benchmarks
	$(BIN)/python -m pytest benchmarks -q --benchmark-enable --benchmark-timer=time.process_time \
	    --benchmark-json=.benchmarks/last.json --benchmark-quiet $(if $(QUICK),-k "ssim or mri_motion")
	@$(BIN)/python benchmarks/ratios.py .benchmarks/last.json
	$(if $(QUICK),,@$(BIN)/python -m benchmarks.peers)
	$(if $(QUICK),,@$(BIN)/python -m benchmarks.workers)
	$(if $(QUICK),,@$(BIN)/python -m benchmarks.memory)
	$(if $(QUICK),,@$(BIN)/python -m benchmarks.aggregate)

gallery: $(VENV)/installed
	$(BIN)/python docs/gallery.py

docs: $(DOCS_VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	@echo build/docs/index.html

clean:
	rm -rf $(VENV) $(EXTRAS_VENV) $(DOCS_VENV) build/docs results/*/ .snakemake .benchmarks

# The stamp is made anew when the pins change.
$(VENV)/installed: envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "medstress needs Python 3.11 or newer; name one with PYTHON=... (found: $$($(PYTHON) --version))"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(EXTRA_INDEX) -r envs/requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed envs/requirements-test.lock
	$(PIP) install $(EXTRA_INDEX) -r envs/requirements.lock -r envs/requirements-test.lock
	@touch $@

# What the first environment has, and the extras: torchvision must not be where transformers is tested without it.
$(EXTRAS_VENV)/installed: $(VENV)/installed-test envs/requirements-extras.lock
	$(BIN)/python -m venv --clear $(EXTRAS_VENV)
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	    > "$$($(EXTRAS_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/first.pth"
	$(EXTRAS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r envs/requirements-extras.lock
	@touch $@

# Apart: nothing of it is needed to run or to test.
$(DOCS_VENV)/installed: envs/requirements-docs.lock
	$(PYTHON) -m venv --clear $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install -r envs/requirements-docs.lock
	@touch $@
