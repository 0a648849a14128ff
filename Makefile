# Everything is installed into .venv; `make serve` never installs torch.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin

.PHONY: serve demo test lint train

serve: .venv/.serve
	$(BIN)/python -m serving run --host $(HOST) --port $(PORT)

# 2,000 opinions of the last 60 days in var/demo.db; takes some minutes the first time.
demo: .venv/.serve
	$(BIN)/python -m serving demo --port $(PORT)

test: .venv/.develop
	$(BIN)/python -m pytest -q

lint: .venv/.develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Leaves model/release alone: serve the new model with LINSHENG_ARTIFACT=var/models/full.
train: .venv/.develop
	$(BIN)/python -m training train training/configs/full.toml
	$(BIN)/python -m training export var/runs/full --out var/models/full
	$(BIN)/python -m training evaluate var/models/full data/opinions.jsonl --split test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is no Python 3.11 or later: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "$(PYTHON) has no venv module: install python3-venv" >&2; exit 1; }

.venv/.serve: pyproject.toml | $(BIN)/python
	@echo "installing into .venv, about a minute the first time"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.develop: pyproject.toml | $(BIN)/python
	@echo "installing the training and development packages into .venv, some minutes"
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@touch $@ .venv/.serve
