#!/usr/bin/env bash
# A disk that fails: each file system call of a request fails once, in each way, and no client is told a lie. And a poll
# that fails: nobody is turned away.
#
#   scripts/faults.sh            builds the release program first
#   KOLK=path scripts/faults.sh  tries that one
#
# strace injects the faults, into one thread at a time. An answer is right to the last byte, or a whole refusal that
# fits the fault, or cut so that curl can tell; and the next request gets the right one. A folder may lack what has
# gone meanwhile, its archive also what may not be read, as src/sys/folder.rs and src/app/files/archive.rs say.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

CALLS='?openat2,?openat,?statx,?newfstatat,?fstat,?getdents64,?readlinkat,?cachestat,?preadv2,?pread64,?read,?sendfile'
BELIEVED=1.1 # seconds, and a little more, for which kolk believes what it knows of a file

# ways CALL: how it can fail. 0 is no error but the end of the file, and EAGAIN says that it is not in memory.
ways() {
    case $1 in
        openat*) echo EIO ENOENT EACCES EMFILE EINTR ;;
        preadv2) echo EIO EACCES EINTR 0 EAGAIN ;;
        pread64 | read | sendfile) echo EIO EACCES EINTR 0 ;;
        *) echo EIO ENOENT EACCES ;;
    esac
}

# attach FILE OPTION...: starts strace and waits until it has each thread that a -p names.
attach() {
    local file=$1 wanted
    shift
    wanted=$(printf '%s\n' "$@" | grep -cx -e -p)
    : >"$file"
    : >"$file.attached"
    strace -y -o "$file" "$@" 2>"$file.attached" &
    TRACERS+=("$!")
    PIDS+=("$!")
    for _ in {1..500}; do
        (($(grep -c attached "$file.attached") < wanted)) || return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 0.01
    done
    die "strace cannot attach: $(<"$file.attached")"
}

# Ends all tracers.
detach() {
    local tracer
    for tracer in ${TRACERS[@]+"${TRACERS[@]}"}; do
        kill -INT "$tracer"
        wait "$tracer" || true
        unset 'PIDS[-1]'
    done
    TRACERS=()
}

# threads NAME: `-p` and its number for each thread of the server that is called so.
threads() {
    local task
    for task in "/proc/$PID/task"/*; do
        # shellcheck disable=SC2053 # a pattern
        [[ $(<"$task/comm") != $1 ]] || printf -- '-p %s ' "${task##*/}"
    done
}

# Where what is asked for is not in memory: the loop's thread hears so each time.
make_cold() {
    # shellcheck disable=SC2046 # words
    [[ -z $COLD ]] || attach "$SCRATCH/cold" $(threads 'kolk-0') -e trace=preadv2 -e inject=preadv2:error=EAGAIN
}

# Asks for TARGET. Sets EXIT (curl's) and CODE.
ask() {
    : >"$SCRATCH/body"
    EXIT=0
    CODE=$(curl --silent --max-time 5 ${OPTIONS[@]+"${OPTIONS[@]}"} -D "$SCRATCH/head" -o "$SCRATCH/body" \
        -w '%{http_code}' "http://127.0.0.1:$PORT$TARGET") || EXIT=$?
}

# field NAME: its value in the answer's head.
field() {
    tr -d '\r' <"$SCRATCH/head" | sed -n "s/^$1: //Ip"
}

# Prints the right answer: with the boundary that this one has, since each has its own.
wanted() {
    local boundary
    boundary=$(field content-type)
    if [[ -z $BOUNDARY ]]; then cat "$RIGHT"; else sed "s/$BOUNDARY/${boundary#*boundary=}/g" "$RIGHT"; fi
}

# No tag is right, too: that of a large file's content is found out after the first answer.
is_right() {
    [[ $EXIT == 0 && $CODE == "$RIGHT_CODE" ]] && wanted | cmp -s - "$SCRATCH/body" &&
        [[ -z $TAG || -z $(field etag) || $(field etag) == "$TAG" ]]
}

# lacks_entries WAY: a folder without some of what is in it, where that may be, and with nothing else.
lacks_entries() {
    local other site=$SCRATCH/site
    [[ $EXIT == 0 && $CODE == "$RIGHT_CODE" ]] || return 1
    case $KIND-$1 in
        listing-ENOENT) other=$(sed 's/,$//' "$SCRATCH/body" | grep -vxF -e '[]' -e "$(sed 's/,$//' "$RIGHT")") ;;
        archive-ENOENT | archive-EACCES)
            rm -rf "$SCRATCH/unpacked"
            mkdir "$SCRATCH/unpacked"
            tar -xzf "$SCRATCH/body" -C "$SCRATCH/unpacked" 2>/dev/null || return 1
            other=$(diff -r "$site/folder" "$SCRATCH/unpacked/folder" | grep -v "^Only in $site")
            ;;
        *) return 1 ;;
    esac
    [[ -z $other ]]
}

# is_refused WAY: by a whole answer that says what was wrong.
is_refused() {
    [[ $EXIT == 0 ]] || return 1
    case $1-$CODE in
        ENOENT-404 | EACCES-403) ;;
        # Who was only interrupted tries again.
        ENOENT-* | EACCES-* | EINTR-* | EAGAIN-*) return 1 ;;
        *-500 | *-503) ;;
        *) return 1 ;;
    esac
}

# Ended early, as curl has noticed, and right until then.
is_cut() {
    [[ $EXIT == 18 || $EXIT == 56 ]] && [[ $CODE == "$RIGHT_CODE" ]] && wanted >"$SCRATCH/wanted" &&
        cmp -s -n "$(stat -c %s "$SCRATCH/body")" "$SCRATCH/wanted" "$SCRATCH/body"
}

failed() {
    echo "FAILED: $TARGET, $*: curl's exit $EXIT, status $CODE, $(stat -c %s "$SCRATCH/body") bytes"
    FAILED=yes
}

# find_calls: what TARGET needs, as lines `THREAD CALL NUMBER`; a call is counted in its own thread.
find_calls() {
    local worker
    $PREPARE
    worker=$(threads 'kolk-0')
    # shellcheck disable=SC2086,SC2046 # words
    attach "$SCRATCH/calls" -f -p "$PID" -e trace="$CALLS" ${COLD:+-e inject=preadv2:error=EAGAIN}
    ask
    sleep 0.3 # for what is compressed behind its back
    detach
    is_right || failed 'traced'
    awk -v worker="${worker//[^0-9]/}" -v site="<$SCRATCH/site" '
        /^[0-9]+ +[a-z0-9]+\(/ {
            split($2, parts, "(")
            call = parts[1]
            number = ++numbers[$1, call]
            if (index($0, site)) print ($1 == worker ? "kolk-0" : "kolk-pool-*"), call, number
        }' "$SCRATCH/calls" | sort -u >"$SCRATCH/list"
    [[ -z $COLD ]] || sed -i '/^kolk-0/d' "$SCRATCH/list"
    grep -q open "$SCRATCH/list" || die "$TARGET: no call was seen"
}

# reach THREAD CALL NUMBER WAY: asks while that call fails. Sets REACHED, if it was called.
reach() {
    local way="error=$4"
    [[ $4 != 0 ]] || way=retval=0
    $PREPARE
    make_cold
    # shellcheck disable=SC2046 # words
    attach "$SCRATCH/faulty" $(threads "$1") -e trace="$2" -e inject="$2:$way:when=$3"
    ask
    REACHED=
    for _ in {1..100}; do
        ! grep -q INJECTED "$SCRATCH/faulty" || REACHED=yes
        # How many of these there are is the socket's choice.
        [[ -z $REACHED && $2 != sendfile ]] || break
        sleep 0.01
    done
    detach
}

# fault THREAD CALL NUMBER WAY: judges what is answered while that call fails.
fault() {
    reach "$@"
    # A thread that the pool has just started is not traced.
    [[ -n $REACHED || $2 == sendfile ]] || reach "$@"
    if [[ -z $REACHED ]]; then
        [[ $2 == sendfile ]] || failed "$* is not reached"
        is_right || failed 'without a fault'
        return 0
    fi
    FAULTS=$((FAULTS + 1))
    if is_right; then
        RIGHTS=$((RIGHTS + 1))
    elif is_cut; then
        CUTS=$((CUTS + 1))
    elif lacks_entries "$4"; then
        LACKING=$((LACKING + 1))
    elif is_refused "$4"; then
        REFUSED=$((REFUSED + 1))
    else
        failed "$*"
    fi
    kill -0 "$PID" 2>/dev/null || die "the server has ended: $TARGET, $*"
}

# again WHEN: the answer is right now, and soon has the field that it is to have.
again() {
    for _ in {1..100}; do
        ask
        is_right || failed "$*"
        [[ -n $AWAITED && -z $(field "$AWAITED") ]] || return 0
        sleep 0.02
    done
    failed "$*, without $AWAITED"
}

# begin NAME TARGET RIGHT KIND CURL-OPTION...: the next to be tried, its right answer a file, or what comes now if there
# is none.
begin() {
    NAME=$1 TARGET=$2 RIGHT=$3 KIND=$4 BOUNDARY='' TAG=''
    shift 4
    OPTIONS=("$@")
    FAULTS=0 RIGHTS=0 REFUSED=0 CUTS=0 LACKING=0
    ask
    RIGHT_CODE=$CODE
    if [[ -z $RIGHT ]]; then
        RIGHT=$SCRATCH/right
        cp "$SCRATCH/body" "$RIGHT"
        BOUNDARY=$(field content-type | sed -n 's/.*boundary=//p')
    fi
    [[ $CODE == 20[06] ]] || die "$TARGET: curl's exit $EXIT, status $CODE"
    again 'at first'
    [[ $AWAITED != etag ]] || TAG=$(field etag)
}

# Says what became of it.
tell() {
    printf '%-38s %3d faults: %3d right, %3d refused, %3d cut' "$NAME" "$FAULTS" "$RIGHTS" "$REFUSED" "$CUTS"
    ((LACKING == 0)) || printf ', %d without what could not be read' "$LACKING"
    echo
}

# all ARGUMENT...: those of `begin`; every fault of every call, and the right answer after each.
all() {
    local thread call number way
    begin "$@"
    find_calls
    while read -r thread call number <&4; do
        for way in $(ways "$call"); do
            fault "$thread" "$call" "$number" "$way"
            again "after $thread $call $number $way"
        done
    done 4<"$SCRATCH/list"
    tell
}

# kept NAME: what is kept is believed for a second, which all wait for together: each fault has a file of its own.
# Those that are not known yet, then those that are looked at again.
kept() {
    local thread call number way seen file last
    begin "$1" /kept/0.txt "$SCRATCH/site/kept/0.txt" file
    for seen in 99 0; do
        kept_file "$seen"
        find_calls
        file=1
        while read -r thread call number <&4; do
            for way in $(ways "$call"); do
                kept_file "$file"
                fault "$thread" "$call" "$number" "$way"
                file=$((file + 1))
            done
        done 4<"$SCRATCH/list"
        sleep "$BELIEVED"
        last=$file
        for ((file = 1; file < last; file++)); do
            kept_file "$file"
            again 'a second after the fault'
        done
        sleep "$BELIEVED"
    done
    tell
}

kept_file() {
    TARGET=/kept/$1.txt RIGHT=$SCRATCH/site/kept/$1.txt
}

# A version that nobody has seen yet.
renew() {
    touch "$SCRATCH/site$TARGET"
}

# The large file is a new one that is not in memory, where the file system can do that. The kernel holds pages of the
# old one that it has sent.
forget() {
    cp "$SCRATCH/site/large.bin" "$SCRATCH/new"
    dd of="$SCRATCH/new" oflag=nocache conv=notrunc,fdatasync count=0 status=none
    mv "$SCRATCH/new" "$SCRATCH/site/large.bin"
}

# failed_poll NAME COMMAND...: the poll of the only worker fails once. Who comes then is served.
failed_poll() {
    local name=$1
    shift
    start "$@"
    # shellcheck disable=SC2046 # words
    attach "$SCRATCH/faulty" $(threads 'kolk-0') -e trace='?epoll_wait,?epoll_pwait' \
        -e inject='?epoll_wait,?epoll_pwait:error=EBADF:when=1'
    begin "$name" /small.txt "$SCRATCH/site/small.txt" file
    for _ in {1..11}; do again 'after its poll has failed'; done
    detach
    grep -q INJECTED "$SCRATCH/faulty" || failed 'its poll has not failed'
    printf '%-38s 12 of 12 answered\n' "$name"
}

make_site() {
    local site=$SCRATCH/site number
    mkdir -p "$site"/{index,folder/sub,kept}
    echo 'a small file' >"$site/small.txt"
    head -c 3000000 /dev/urandom >"$site/large.bin"
    echo '<p>an index' >"$site/index/index.html"
    echo 'one' >"$site/folder/one.txt"
    head -c 100000 /dev/urandom >"$site/folder/two.bin"
    echo 'three' >"$site/folder/sub/three.txt"
    ln -s folder "$site/link"
    seq 5000 >"$site/text.txt"
    for number in {0..99}; do echo "kept $number" >"$site/kept/$number.txt"; done
}

FAILED=
TRACERS=()
PREPARE=: COLD='' AWAITED=''
tool strace strace
tool curl curl
release_build
make_site
site=$SCRATCH/site

# Nothing is kept: each request makes all its calls. The listing starts a thread of the pool.
start "$KOLK" serve "$site" -w 1 -l 127.0.0.1:0 --file-cache 0
curl --silent --output /dev/null "http://127.0.0.1:$PORT/folder/"
all 'a small file' /small.txt "$site/small.txt" file
all 'behind a link' /link/one.txt "$site/folder/one.txt" file
all 'an index' /index/ "$site/index/index.html" file
all 'a listing' '/folder/?format=json' '' listing
all 'an archive' '/folder/?download=tar.gz' '' archive
all 'a large file' /large.bin "$site/large.bin" file
all 'parts of it' /large.bin '' file --range 5-20,100000-1999999,2500000-
COLD=yes
all 'a small file that is not in memory' /small.txt "$site/small.txt" file
COLD='' PREPARE=forget
all 'a range that is not in memory' /large.bin '' file --range 1000000-1199999
PREPARE=renew AWAITED=content-encoding
all 'text that is to be compressed' /text.txt "$site/text.txt" file --compressed

start "$KOLK" serve "$site" -w 1 -l 127.0.0.1:0 --file-cache 0 --content-etags
AWAITED=etag
all 'a tag that is made of the content' /folder/two.bin "$site/folder/two.bin" file

start "$KOLK" serve "$site" -w 1 -l 127.0.0.1:0
PREPARE=: AWAITED=''
kept 'a file that is kept'

failed_poll 'a poll that fails' "$KOLK" serve "$site" -w 1 -l 127.0.0.1:0
cat >"$SCRATCH/kolk.toml" <<TOML
[server]
workers = 1
[[listen]]
addr = "127.0.0.1:0"
[[site]]
hosts = "*"
[[site.route]]
path = "/{*file}"
static = "$site"
TOML
failed_poll 'a poll that fails, of a file' "$KOLK" serve -c "$SCRATCH/kolk.toml"

[[ -z $FAILED ]] || exit 1
echo 'faults: every answer was right, refused or cut'
