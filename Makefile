# make install      .venv with the package and its test tools
# make demo         train and test a small VideoMambaPro on clips made on the spot
# make demo-vjepa   pre-train one on clips without their labels, and probe it frozen
# make lab          what the mask and the residual change, in ten minutes
# make lab-full     all that docs/lab.md reports, in two hours
# make test         the whole test suite
# make test-page    the page of tools/page.py, in a browser
# make lint         style and types
# make docs         the pages of docs/ and the reference, in build/docs
# make help         this text

PYTHON ?= python3
VENV ?= .venv
SEED ?= 0
BIN := $(VENV)/bin
DEMO := work_dirs/demo
VJEPA := work_dirs/demo-vjepa
DEMO_CONFIG := configs/demo/videomambapro-nano_8x2x1-15e_demo-clips-rgb.py
VJEPA_CONFIG := configs/demo/vjepa_videomambapro-nano_32x2x1-80e_demo-clips-plain.py
PROBE_CONFIG := configs/demo/vjepa-probe_videomambapro-nano_8x2x1-30e_demo-clips-plain-rgb.py

.PHONY: help install demo demo-vjepa lab lab-full test test-page browser lint format \
	docs

help:
	@sed -n '/^$$/q; s/^# //p' Makefile

install: $(VENV)/installed

# OpenCV comes in the variant for desktops, twice; where that lacks a library of the
# desktop (servers, containers), the headless variant takes its place.
$(VENV)/installed: setup.py pyproject.toml $(wildcard requirements/*.txt)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c requirements/constraints.txt -e '.[test]'
	$(BIN)/python -c 'import cv2' || { \
		$(BIN)/python -m pip uninstall -y opencv-python opencv-contrib-python && \
		$(BIN)/python -m pip install -c requirements/constraints.txt \
			--no-deps opencv-python-headless; }
	touch $@

demo: install
	$(BIN)/python tools/data/make_demo_clips.py data/demo_clips
	$(BIN)/python tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO) --seed $(SEED)
	$(BIN)/python tools/test.py $(DEMO_CONFIG) $(DEMO) \
		--work-dir $(DEMO) --dump $(DEMO)/result.pkl
	@$(BIN)/python tools/analysis/draw_curves.py $(DEMO)
	@$(BIN)/python tools/analysis/draw_predictions.py $(DEMO_CONFIG) \
		$(DEMO)/result.pkl --classes data/demo_clips/classes.txt
	@$(BIN)/python -W ignore tools/model_zoo.py add $(DEMO_CONFIG) \
		"$(DEMO)/$$(cat $(DEMO)/last_checkpoint)" --result $(DEMO)/result.pkl \
		--log $(DEMO) --zoo $(DEMO)/zoo
	@$(BIN)/python tools/predict.py $(DEMO) data/demo_clips/videos/val/00003.mp4 --top 1

# The same probe on the features of the pre-training, and on random ones.
demo-vjepa: install
	$(BIN)/python tools/data/make_demo_clips.py data/demo_clips_plain --plain
	$(BIN)/python tools/train.py $(VJEPA_CONFIG) --work-dir $(VJEPA) --seed $(SEED)
	$(BIN)/python tools/train.py $(PROBE_CONFIG) --work-dir $(VJEPA)/pre-trained \
		--seed $(SEED) --cfg-options \
		model.backbone.init_cfg.checkpoint="$(VJEPA)/$$(cat $(VJEPA)/last_checkpoint)"
	$(BIN)/python tools/train.py $(PROBE_CONFIG) --work-dir $(VJEPA)/random \
		--seed $(SEED) --cfg-options model.backbone.init_cfg=None
	@$(BIN)/python tools/analysis/compare_runs.py $(VJEPA)/pre-trained \
		$(VJEPA)/random --out $(VJEPA)/comparison.png

# Small models on toy tasks, each with some seeds. What is done is not done again.
lab: install
	$(BIN)/python benchmarks/lab/run.py --quick --results work_dirs/lab/results
	$(BIN)/python benchmarks/lab/report.py --results work_dirs/lab/results \
		--out work_dirs/lab

lab-full: install
	$(BIN)/python benchmarks/lab/run.py
	$(BIN)/python benchmarks/lab/report.py

test: install
	$(BIN)/python -m pytest

# A browser of the system; without one, Debian's is installed.
test-page: browser
	$(BIN)/python -m pytest -n0 tests/page

browser: install
	$(BIN)/python -m pip install -q -c requirements/constraints.txt -e '.[page]' playwright
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		{ apt-get update -qq -o Acquire::http::Timeout=20 && \
		apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
		{ echo 'test-page: install chromium, as root: apt-get install chromium' >&2; exit 1; }

lint: install
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	for script in tools/*.sh benchmarks/*.sh .ci/run; do bash -n $$script || exit 1; done

docs: install
	$(BIN)/python -m pip install -q -c requirements/constraints.txt -e '.[docs,page]'
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs
	@echo docs: build/docs/docs/index.html

format: install
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
