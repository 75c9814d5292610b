# make demo and make test are all a newcomer needs; each runs `make setup` first, which does its work once.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.setup-done

.PHONY: help demo test setup clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

demo: setup ## a sequence in, named 3D objects out: demo_out/preview.png, demo_out/recording.rrd
	$(BIN)/ovseg3r demo --out demo_out

test: setup ## lint, types and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/pytest -q

setup: $(STAMP) ## .venv with all Python packages, the Debian packages that are missing, the weights

$(STAMP): pyproject.toml requirements/constraints.txt requirements/system.sh Makefile
	@echo "make setup: Python packages go to .venv, weights to the user's cache, and with apt-get, where missing: libusb-1.0-0 libgl1 libgomp1 python3-venv npm sweethome3d-furniture"
	@PYTHON=$(PYTHON) requirements/system.sh
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[test]' --constraint requirements/constraints.txt
	$(BIN)/ovseg3r models fetch
	@touch $@

clean: ## removes what make made: .venv and demo_out
	rm -rf .venv demo_out
