# `make` lists the targets. Everything lives in .venv; system parts are looked for, and installed only as root.
.DEFAULT_GOAL := help
.PHONY: help run test lint format docs docs-check soak field bench kernels matrix bpf gate wheel-check lock picture release clean
PYTHON := .venv/bin/python
CMD ?= du -sh /usr/bin
TESTS ?= tests
KERNELS ?=
MATRIX ?=
FIELD ?=
BENCH ?= strace overhead reading report report_page why service top

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Set up what is missing, then profile a real command (CMD="du -sh /usr/bin")
	@scripts/bootstrap run
	@.venv/bin/straced run -- $(CMD)
	@command -v straced >/dev/null || echo 'straced: to type straced in this shell: . .venv/bin/activate' >&2

test: ## Set up what is missing, then run the whole suite (TESTS=tests/traces for a part)
	@scripts/bootstrap dev
	scripts/readable $(PYTHON) -m pytest $(TESTS)

lint: ## ruff, mypy --strict, import-linter
	@scripts/bootstrap dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: ## Format the sources
	@scripts/bootstrap dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: ## Build the documentation into build/docs, strictly
	@scripts/bootstrap docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

docs-check: ## Run every command and example of README and docs, also the slow ones, and build the documentation
	@scripts/bootstrap docs
	STRACED_DOCS=1 scripts/readable $(PYTHON) -m pytest tests/docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

soak: ## Thousands of attaches, kills and cancels, hostile users: no orphan, no stopped target, no growth, no wait
	@scripts/bootstrap dev
	STRACED_SOAK=1 scripts/readable $(PYTHON) -m pytest tests/soak tests/security tests/tracers/ebpf/test_accuracy.py -s
	STRACED_FUZZ_LOGS=100000 $(PYTHON) -m pytest tests/traces/test_native.py
	$(PYTHON) -m tests.soak.flight_hour

field: ## Ask why of real servers in known situations, ten times each, without and with other load (FIELD="redis_idle -n 2")
	@scripts/bootstrap field
	PYTHONPATH=.:tests/waits $(PYTHON) tests/waits/field/field_run.py $(FIELD)
	$(if $(FIELD),,PYTHONPATH=.:tests/waits $(PYTHON) tests/waits/field/field_quiet.py)
	$(if $(FIELD),,PYTHONPATH=.:tests/waits $(PYTHON) tests/waits/field/field_alerts.py)

bench: ## Measure straced beside its rivals (BENCH="strace overhead" for a part; needs a quiet machine)
	@scripts/bootstrap bench
	@missed=; for each in $(BENCH); do echo "== $$each"; $(PYTHON) -m benchmarks.$$each || missed="$$missed $$each"; done; \
	[ -z "$$missed" ] || { echo "limits missed:$$missed"; exit 1; }

kernels: ## Run straced on other kernels, emulated, some minutes each (KERNELS="6.1 7.x-full" for a part)
	@scripts/bootstrap kernels
	$(PYTHON) -m tests.kernels $(KERNELS) --json docs/support/kernels.json

matrix: ## Run parts of the suite beside other versions of Python, strace and libbpf (MATRIX="sid" for a part)
	@scripts/bootstrap kernels
	$(PYTHON) -m tests.matrix $(MATRIX) --json docs/support/matrix.json

bpf: ## Build the eBPF object anew (with clang, llvm, bpftool and libbpf's headers)
	@scripts/bootstrap bpf
	bpf/build.sh

gate: ## Build the gates anew, for x86-64 and arm64 (with clang and lld)
	@scripts/bootstrap bpf
	gate/build.sh

wheel-check: ## Build the wheel and test it in a fresh environment without the source tree
	@scripts/bootstrap dev
	scripts/wheel-check

lock: ## Bring uv.lock up to date (needs uv)
	uv lock

picture: export STRACED_TEST_PACE ?= 8
picture: ## Make the pictures of docs/img and the recording of the README, from real runs (as root, with chromium)
	@scripts/bootstrap dev
	$(PYTHON) scripts/picture.py
	$(PYTHON) scripts/top_pictures.py docs/img
	$(PYTHON) scripts/page_pictures.py docs/img
	$(PYTHON) scripts/sheets.py docs/img
	$(PYTHON) scripts/text_sheets.py docs/img
	$(PYTHON) scripts/findings.py docs/img
	$(PYTHON) scripts/text_findings.py docs/img
	$(PYTHON) scripts/page_findings.py docs/img

release: ## Set the version everywhere, and collect changelog.d into CHANGELOG.md (VERSION=x.y.z)
	@scripts/bootstrap dev
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m scripts.release $(VERSION)

clean: ## Remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
