#!/usr/bin/env bash
# Are the users let in that the htpasswd of this machine writes into a file today?
#
#   scripts/htpasswd.sh    one user for each kind of hash that kolk takes, and one for each that it refuses
#
# Installs apache2-utils if htpasswd is missing. `cargo test` has samples of the same, and needs nothing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

tool htpasswd apache2-utils
cargo test --test auth -- --ignored --nocapture htpasswd
