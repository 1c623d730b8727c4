PYTHON ?= python

.PHONY: check lint types test format bench

check: lint types test

lint:
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

format:
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

bench:
	$(PYTHON) -m benchmarks.train_speed
	$(PYTHON) -m benchmarks.data_wait
	$(PYTHON) -m benchmarks.precision
	$(PYTHON) -m benchmarks.app_latency
