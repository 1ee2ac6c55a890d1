#!/usr/bin/env bash
# Does a browser get along with the listing of a folder?
#
#   scripts/browser.sh            builds the release program first
#   KOLK=path scripts/browser.sh  tries that one
#
# Serves a folder that it makes, and lets Chromium sort it, enter a folder, come back by the breadcrumb, and upload
# a file; takes docs/listing.png on the way. Installs Chromium and its driver (Debian's packages) if they are
# missing; says so and succeeds where they cannot be had. Needs python3.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options -- "$@"

skip() {
    echo "${0##*/}: skipped: $*"
    exit 0
}

try_tool python3 python3 || skip "no python3, and none could be installed"
try_tool chromium chromium || skip "no chromium, and none could be installed"
try_tool chromedriver chromium-driver || skip "no chromedriver, and none could be installed"

# entry PATH BYTES DATE: a file of so many bytes, or a folder if its path ends with a slash.
entry() {
    local path=$SCRATCH/site/$1
    if [[ $1 == */ ]]; then mkdir -p "$path"; else mkdir -p "${path%/*}" && truncate -s "$2" "$path"; fi
    touch -d "$3 UTC" "$path"
}

entry 'photos/dune 2.jpg' 2480100 '2026-03-02 11:20'
entry 'photos/dune 10.jpg' 1930771 '2026-03-02 11:31'
entry 'photos/river & sea.jpg' 3102994 '2026-03-04 17:02'
entry 'chapter 1.pdf' 812443 '2026-01-17 09:41'
entry 'chapter 2.pdf' 1120443 '2026-02-02 16:08'
entry 'chapter 10.pdf' 930112 '2026-05-30 22:15'
entry '<script>alert("hi")<\script>.txt' 27 '2025-12-31 23:59'
entry 'Grüße.txt' 42 '2026-06-11 07:30'
entry 'README.md' 5423 '2026-06-12 10:00'
entry 'talk.webm' 38220310 '2026-04-19 14:55'
entry 'whirlpool.svg' 802 '2025-11-08 12:12'
entry '.htpasswd' 99 '2026-01-01 00:00'
entry 'notes/' - '2026-05-01 08:00'
entry 'photos/' - '2026-03-04 17:02'
ln -s README.md "$SCRATCH/site/latest.md"
printf 'what the browser sent\n' >"$SCRATCH/sent by hand.txt"

release_build
start "$KOLK" serve --upload "$SCRATCH/site" -l 127.0.0.1:0

DRIVER_PORT=$(free_port)
chromedriver --port="$DRIVER_PORT" >"$SCRATCH/driver.log" 2>&1 </dev/null &
PIDS+=("$!")

mkdir -p docs
python3 - "$DRIVER_PORT" "$PORT" "$SCRATCH" "$(command -v chromium)" docs/listing.png <<'PYTHON'
import base64, io, json, pathlib, sys, tarfile, time, urllib.error, urllib.request

driver_port, port, scratch, chromium, picture = sys.argv[1:]
driver = f"http://127.0.0.1:{driver_port}"
# A name instead of a number, so that the picture is the same each time.
site = f"http://files.example:{port}/"
PICTURE_BYTES_MAX = 200_000
SECONDS_MAX = 20
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(driver + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        sys.exit(f"browser.sh: {method} {path}: {json.load(error)['value']['message']}")


def until(what, attempt):
    deadline = time.monotonic() + SECONDS_MAX
    while not (found := attempt()):
        if time.monotonic() > deadline:
            sys.exit(f"browser.sh: still not after {SECONDS_MAX} s: {what}")
        time.sleep(0.05)
    return found


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"browser.sh: {what}: {found!r} instead of {wanted!r}")


def is_up():
    try:
        return call("GET", "/status")["ready"]
    except urllib.error.URLError:
        return False


until("the driver answers", is_up)
arguments = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --window-size=1100,1000""".split()
arguments += [f"--user-data-dir={scratch}/profile", "--host-resolver-rules=MAP files.example 127.0.0.1"]
session = "/session/" + call("POST", "/session", {"capabilities": {"alwaysMatch": {
    "goog:chromeOptions": {"binary": chromium, "args": arguments},
    "goog:loggingPrefs": {"browser": "ALL"},
}}})["sessionId"]


def script(text, *values):
    return call("POST", f"{session}/execute/sync", {"script": "return " + text, "args": list(values)})


def element(using, value):
    return call("POST", f"{session}/element", {"using": using, "value": value})[ELEMENT]


def css(selector):
    return element("css selector", selector)


def click(one, address):
    call("POST", f"{session}/element/{one}/click", {})
    until(f"at {address}", lambda: script("location.href") == site + address and
          script("document.readyState") == "complete")


def names():
    return script("[...document.querySelectorAll('tbody tr:not(.up) a')].map(a => a.textContent)")


try:
    call("POST", f"{session}/url", {"url": site})
    hostile = r'<script>alert("hi")<\script>.txt'
    by_name = ["notes", "photos", hostile, "chapter 1.pdf", "chapter 2.pdf", "chapter 10.pdf", "Grüße.txt",
               "latest.md", "README.md", "talk.webm", "whirlpool.svg"]
    expect("the names", names(), by_name)
    expect("what Chromium says", call("POST", f"{session}/se/log", {"type": "browser"}), [])
    png = base64.b64decode(call("GET", f"{session}/screenshot"))
    expect(f"a picture below {PICTURE_BYTES_MAX} bytes", len(png) < PICTURE_BYTES_MAX, True)
    pathlib.Path(picture).write_bytes(png)

    click(css("thead th:nth-child(2) a"), "?sort=size&order=desc")
    expect("the column", script("document.querySelector('[aria-sort=descending]').textContent"), "Size")
    expect("the largest", names()[:4], ["notes", "photos", "talk.webm", "chapter 2.pdf"])
    click(css("thead th:nth-child(2) a"), "?sort=size&order=asc")
    expect("the smallest", names()[2:4], [hostile, "Grüße.txt"])

    click(element("link text", "photos"), "photos/?sort=size&order=asc")
    expect("the photos", names(), ["dune 10.jpg", "dune 2.jpg", "river & sea.jpg"])
    archive = urllib.request.urlopen(f"http://127.0.0.1:{port}/photos/?download=tar.gz", timeout=60).read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        expect("the archive", [member.name for member in tar],
               ["photos", "photos/dune 10.jpg", "photos/dune 2.jpg", "photos/river & sea.jpg"])
    click(css("nav a"), "?sort=size&order=asc")

    click(element("link text", "notes"), "notes/?sort=size&order=asc")
    expect("an empty folder", names(), [])
    sent = pathlib.Path(scratch, "sent by hand.txt")
    call("POST", f"{session}/element/{css('input[type=file]')}/value", {"text": str(sent)})
    call("POST", f"{session}/element/{css('button')}/click", {})
    until("the file is listed", lambda: names() == [sent.name])
    arrived = pathlib.Path(scratch, "site", "notes", sent.name)
    expect("the file", arrived.read_bytes(), sent.read_bytes())
    expect("what Chromium says", call("POST", f"{session}/se/log", {"type": "browser"}), [])
finally:
    call("DELETE", session)
print("browser.sh: Chromium sorted, entered, came back and uploaded")
PYTHON
