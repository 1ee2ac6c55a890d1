#!/usr/bin/env bash
# What does an idle connection cost in memory, after one request?
#
#   scripts/idle.sh [CONNECTIONS] [KIND...]     10,000 by default, and all of http/1.1, h2c, tls, tls-h2
#
# Growth of the server's resident memory, divided by the connections: plain HTTP/1.1, HTTP/2 with prior knowledge, and
# both over TLS 1.3. Kernel memory of the sockets is not in it, nor is what the client needs. Of HTTP/2 the preface and
# SETTINGS are exchanged and acknowledged. Needs python3 as the client, and descriptors: the limit is raised as far as
# it goes, and fewer connections are opened where that is not far enough.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
options ... -- "$@"

CONNECTIONS=10000
KINDS=("${OPERANDS[@]}")
[[ ! ${KINDS[0]-} =~ ^[0-9]+$ ]] || { CONNECTIONS=${KINDS[0]} && KINDS=("${KINDS[@]:1}"); }
[[ ${#KINDS[@]} -gt 0 ]] || KINDS=(http/1.1 h2c tls tls-h2)
tool python3 python3
# Only who is root may raise the hard limit, too.
ulimit -n $((CONNECTIONS + 1000)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"
LIMIT=$(ulimit -n)
if [[ $LIMIT != unlimited ]] && ((CONNECTIONS > LIMIT - 200)); then
    CONNECTIONS=$((LIMIT - 200))
    echo "the limit of $LIMIT descriptors allows $CONNECTIONS connections"
fi
release_build
# The certificate of the encrypted ones is one that kolk makes itself, and keeps here.
export XDG_DATA_HOME=$SCRATCH

cat >"$SCRATCH/idle.py" <<'PYTHON'
import os, socket, ssl, sys, time

kind, port, pid, connections = sys.argv[1], *map(int, sys.argv[2:])
is_http2, is_encrypted = kind.endswith("h2") or kind == "h2c", kind.startswith("tls")
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
tls.minimum_version = ssl.TLSVersion.TLSv1_3
tls.set_alpn_protocols(["h2" if is_http2 else "http/1.1"])

DATA, HEADERS, SETTINGS, ACK, END_STREAM, END_HEADERS = 0, 1, 4, 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# RFC 7541 6.1, 6.2.2: GET, the scheme, and two literals that nobody keeps.
path, host = b"/plaintext", b"localhost"
block = bytes([0x82, 0x87 if is_encrypted else 0x86, 4, len(path)]) + path + bytes([1, len(host)]) + host


def receive(connection, count):
    bytes = b""
    while len(bytes) < count:
        piece = connection.recv(count - len(bytes))
        assert piece, "closed instead of answered"
        bytes += piece
    return bytes


def ask_http2(connection):
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
                       + frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
    due = {"settings", "acknowledgement", "answer"}
    while due:
        head = receive(connection, 9)
        payload = receive(connection, int.from_bytes(head[:3], "big"))
        if head[3] == SETTINGS and head[4] & ACK:
            due.discard("acknowledgement")
        elif head[3] == SETTINGS:
            due.discard("settings")
            connection.sendall(frame(SETTINGS, ACK, 0))
        elif head[3] == DATA and head[4] & END_STREAM:
            assert payload == b"Hello, World!", payload
            due.discard("answer")


def ask_http1(connection):
    connection.sendall(b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"Hello, World!"):
        piece = connection.recv(4096)
        assert piece, "closed instead of answered"
        answer += piece


def one_request():
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if is_encrypted:
        connection = tls.wrap_socket(connection)
    (ask_http2 if is_http2 else ask_http1)(connection)
    return connection


def resident():
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


one_request().close()
time.sleep(0.5)
before = resident()
idle = [one_request() for _ in range(connections)]
time.sleep(1.5)
after = resident()
print(f"{kind:9} {connections:11} {before / 1024:9.0f} KiB {after / 1024:9.0f} KiB "
      f"{(after - before) / connections:11.0f}", flush=True)
# Nobody says good-bye ten thousand times.
os._exit(0)
PYTHON

printf '%-9s %11s %13s %13s %11s\n' kind connections before after 'bytes each'
for kind in "${KINDS[@]}"; do
    arguments=()
    case $kind in
        http/1.1 | h2c) ;;
        tls | tls-h2) arguments=(--tls) ;;
        *) die "unknown kind $kind; see --help" ;;
    esac
    start "$KOLK" -w 1 -l 127.0.0.1:0 --keepalive 10m ${arguments[@]+"${arguments[@]}"}
    python3 "$SCRATCH/idle.py" "$kind" "$PORT" "$PID" "$CONNECTIONS" || die "$kind failed"
    kill "$PID"
    wait "$PID" 2>/dev/null || true
done
