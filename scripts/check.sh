#!/usr/bin/env bash
# The one gate: what must hold before a commit.
#
#   scripts/check.sh
#
# Format, lints, all tests (the architecture among them: tests/tidy.rs) and the documentation.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
[[ ${1-} != --help ]] || help

cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

step format cargo fmt --check
step lints cargo clippy --all-targets -- -D warnings
step 'lints of the library alone' cargo clippy --no-default-features --lib -- -D warnings
step tests cargo test
step documentation env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
