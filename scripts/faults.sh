#!/usr/bin/env bash
# What clients get when the disk fails: each file system call of each kind of answer, refused in turn.
#
#   scripts/faults.sh            builds the release program first
#   KOLK=path scripts/faults.sh  tries that one
#
# strace lets a call fail (EIO, EACCES, ENOENT for what is gone between two looks, EMFILE, EINTR) or end early (as if
# the file had become shorter). The answer is then the right one, or a whole refusal, or it is cut so that the client
# can tell; never wrong bytes that look whole, never silence. The request after it is answered as ever.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
[[ ${1-} != --help ]] || help

CALLS='openat openat2 statx newfstatat fstat read pread64 preadv2 getdents64 readlink readlinkat sendfile mincore'
PATIENCE=5 # seconds that a client waits

tool strace strace
tool curl curl
release_build

site() {
    mkdir -p "$SCRATCH/site/index" "$SCRATCH/site/folder/deep"
    printf 'small enough for memory\n' >"$SCRATCH/site/small.bin"
    head -c 3000000 /dev/urandom >"$SCRATCH/site/large.bin"
    printf '<p>an index\n' >"$SCRATCH/site/index/index.html"
    printf 'all work and no play %.0s' {1..1000} >"$SCRATCH/site/text.txt"
    head -c 100000 /dev/urandom >"$SCRATCH/site/folder/one.bin"
    printf 'two\n' >"$SCRATCH/site/folder/deep/two.txt"
}

# ask FILE: one request for TARGET. Sets STATUS (000 if there was none) and CURL, its exit code.
ask() {
    CURL=0
    STATUS=$(curl --silent --max-time "$PATIENCE" --output "$1" --write-out '%{http_code}' "${OPTIONS[@]}" \
        "http://127.0.0.1:$PORT$TARGET") || CURL=$?
    # The boundary between parts is another one each time.
    [[ $NAME != ranges ]] || sed -i -E 's/^--[0-9a-f]{32}/--boundary/' "$1"
}

# trace OPTION...: strace on the server and all its threads, from when this returns. Sets TRACER.
trace() {
    rm -f "$SCRATCH/attached"
    strace -f -qq -o "$SCRATCH/trace" "$@" -p "$PID" 2>"$SCRATCH/attached" &
    TRACER=$!
    PIDS+=("$TRACER")
    for _ in {1..200}; do
        # Every thread is held by it, or none.
        ! grep -qE '^TracerPid:\s*0$' /proc/"$PID"/task/*/status || { sleep 0.01; continue; }
        return 0
    done
    die "strace cannot attach: $(cat "$SCRATCH/attached")"
}

untrace() {
    kill -INT "$TRACER" 2>/dev/null || true
    wait "$TRACER" || true
    PIDS=("${PIDS[@]/$TRACER/}")
    PIDS=(${PIDS[@]+"${PIDS[@]}"})
}

# How often the request makes each of CALLS, one a line.
calls_of() {
    local known='' call
    for call in $CALLS; do ! strace -e "trace=$call" true 2>/dev/null || known+=${known:+,}$call; done
    trace -e "trace=$known" -y
    ask "$SCRATCH/asked"
    sleep 0.1
    untrace
    # What strace has no name for it cannot let fail either.
    sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$SCRATCH/trace" | grep -v '^syscall_' | sort | uniq -c
}

# Whether what was got is an archive of which only entries are missing: those that were gone, or not ours to read.
is_less() {
    [[ $NAME == archive ]] || return 1
    rm -rf "$SCRATCH/unpacked"
    mkdir "$SCRATCH/unpacked"
    tar -xzf "$SCRATCH/got" -C "$SCRATCH/unpacked" 2>/dev/null || return 1
    ! diff -rq "$SCRATCH/site" "$SCRATCH/unpacked" | grep -vq "^Only in $SCRATCH/site"
}

violated() {
    echo "FAILED: $NAME, $1: $2 (status $STATUS, curl $CURL)"
    FAILED=yes
}

# fault CALL NUMBER HOW: the request, while the CALL of this number is let fail.
fault() {
    local what="$1 number $2 with $3"
    trace -e "trace=$1" -e "inject=$1:$3:when=$2"
    ask "$SCRATCH/got"
    untrace
    if [[ ! -s $SCRATCH/trace ]] || ! grep -q INJECTED "$SCRATCH/trace"; then
        return 0 # It went another way, or another thread had that number.
    fi
    FAULTS=$((FAULTS + 1))
    case $CURL:$STATUS in
        0:200 | 0:206)
            if cmp -s "$SCRATCH/got" "$SCRATCH/right"; then
                RIGHT=$((RIGHT + 1))
            elif [[ $3 == error=ENOENT || $3 == error=EACCES ]] && is_less; then
                RIGHT=$((RIGHT + 1))
            else
                violated "$what" 'wrong bytes that look whole'
            fi
            ;;
        0:403 | 0:404 | 0:500 | 0:503) REFUSED=$((REFUSED + 1)) ;;
        18:20* | 56:20*) CUT=$((CUT + 1)) ;;
        *) violated "$what" 'neither an answer nor a refusal nor a cut' ;;
    esac
    kill -0 "$PID" 2>/dev/null || die "$NAME, $what: the server is gone"
    ask "$SCRATCH/got"
    [[ $CURL == 0 ]] && cmp -s "$SCRATCH/got" "$SCRATCH/right" || violated "$what" 'the next answer is not the right one'
}

# try NAME TARGET [OPTION...]: all faults of one request.
try() {
    local count call number how hows listing=
    NAME=$1 TARGET=$2
    shift 2
    OPTIONS=("$@")
    FAULTS=0 RIGHT=0 REFUSED=0 CUT=0
    # Without its index a folder would be listed, and rightly so.
    [[ $NAME != index ]] || listing=--no-listing
    start "$KOLK" serve "$SCRATCH/site" -w 1 -l 127.0.0.1:0 --file-cache 0 $listing
    # Twice: what is compressed is only sent the second time.
    ask "$SCRATCH/right"
    sleep 0.3
    ask "$SCRATCH/right"
    [[ $CURL == 0 && $STATUS == 20* ]] || die "$NAME: no answer without a fault (status $STATUS, curl $CURL)"
    while read -r count call; do
        for ((number = 1; number <= count && number <= 8; number++)); do
            case $call in
                openat | openat2) hows='error=EIO error=ENOENT error=EACCES error=EMFILE' ;;
                read | pread64 | preadv2 | sendfile) hows='error=EIO error=EINTR retval=0' ;;
                *) hows='error=EIO' ;;
            esac
            for how in $hows; do fault "$call" "$number" "$how"; done
        done
    done < <(calls_of)
    printf '%-12s %4d faults: %d right, %d refused, %d cut\n' "$NAME" "$FAULTS" "$RIGHT" "$REFUSED" "$CUT"
    ((FAULTS > 0)) || { echo "FAILED: $NAME: no call was let fail" && FAILED=yes; }
    kill "$PID" 2>/dev/null || true
    wait "$PID" || true
}

FAILED=
site
try small /small.bin
try large /large.bin
try range /large.bin -r 1000-1999999
try ranges /large.bin -r 0-99,1000000-1999999
try index /index/
try text /text.txt --compressed
try listing /folder/
try archive '/folder/?download=tar.gz'
[[ -z $FAILED ]] || exit 1
