#!/usr/bin/env bash
# Do curl and wget resume a download that was cut?
#
#   scripts/resume.sh            builds the release program first
#   KOLK=path scripts/resume.sh  tries that one
#
# Gives each the first half of a file and lets it fetch the rest by a range. Installs both if missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

tool curl curl
tool wget wget
release_build
mkdir "$SCRATCH/site" "$SCRATCH/curl" "$SCRATCH/wget"
head -c 3000000 /dev/urandom >"$SCRATCH/site/large.bin"
start "$KOLK" serve "$SCRATCH/site" -l 127.0.0.1:0

for client in curl wget; do
    cd "$SCRATCH/$client"
    head -c 1500000 "$SCRATCH/site/large.bin" >large.bin
    case $client in
        curl) curl --silent --show-error --max-time 20 -C - -O -D head "http://127.0.0.1:$PORT/large.bin" ;;
        wget) wget --quiet --timeout=20 --tries=1 -c -S "http://127.0.0.1:$PORT/large.bin" 2>./head ;;
    esac
    grep -qi 'HTTP/1.1 206' head || die "$client: the rest did not come as a part:"$'\n'"$(<./head)"
    cmp -s large.bin "$SCRATCH/site/large.bin" || die "$client: the file is another one now"
    echo "$client resumed a download"
done
