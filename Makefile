# p2pdi: `make help` lists what can be made.

CARGO ?= cargo
DEMO  ?= demo
# Documents for the demo: a folder with at least sixty files. Without it: our own rfcs/ and made-up ones.
RFCS  ?=
DOCS   = $(if $(RFCS),--docs '$(RFCS)',)
P2PDI  = $(or $(CARGO_TARGET_DIR),target)/release/p2pdi

.PHONY: help demo test ordeal siege fuzz check bench compare compare-rs spec clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## an RS and six peers: both experiments, verified, with a picture (RFCS=DIR for your own documents)
	$(CARGO) build --release --locked
	@echo
	@echo "Task 1: one peer has sixty documents, five others take fifty each."
	@$(P2PDI) lab task1 $(DOCS) --out '$(DEMO)'
	@echo
	@echo "Task 2, best order: ten documents each; everybody starts at its next neighbour."
	@$(P2PDI) lab task2 --order best $(DOCS) --out '$(DEMO)'
	@echo
	@echo "Task 2, worst order: ten documents each; everybody takes them in the same order."
	@$(P2PDI) lab task2 --order worst-order $(DOCS) --out '$(DEMO)'
	@echo
	@echo "Task 2, worst relay: one peer first takes everything, and then serves everybody alone."
	@$(P2PDI) lab task2 --order worst-relay $(DOCS) --out '$(DEMO)'
	@echo
	@echo "The picture of all curves: $(DEMO)/curves.svg"

test: ## all tests
	$(CARGO) test --locked

ordeal: ## all rounds of tests/ordeal.rs, durable.rs and chord.rs: kills, liars, stalls, 1 TiB, failing disks, cut rings
	P2PDI_ORDEAL=1 $(CARGO) test --locked --test ordeal --test durable --test chord -- --nocapture --test-threads 1

siege: ## all of tests/siege.rs: an RS under crowds, floods and forgeries (the forgeries need root)
	P2PDI_ORDEAL=1 $(CARGO) test --locked --test siege -- --nocapture --test-threads 1

fuzz: ## each reader of bytes for a minute (SECS=60), and that a planted bug is found; needs a C++ compiler
	tools/fuzz
	PLANTED=1 tools/fuzz

check: ## format, lints, tests, docs
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	$(CARGO) test --locked

bench: ## throughput: codec, transfers, and the ways to send and receive that were tried
	$(CARGO) bench --locked

compare: ## the same files with nginx + curl, rsync and aria2, whichever are installed (RUNS=5)
	$(CARGO) build --release --locked
	P2PDI='$(P2PDI)' tools/compare

compare-rs: ## searches at an RS over TCP with redis GET, where redis is installed (RUNS=5)
	$(CARGO) build --release --locked
	P2PDI='$(P2PDI)' tools/compare-rs

spec: ## write the generated parts of rfcs/ and tools/p2pdi.lua anew
	P2PDI_BLESS=1 $(CARGO) test --locked --test spec

clean: ## remove what was built and what the demo left
	$(CARGO) clean
	rm -rf '$(DEMO)'
