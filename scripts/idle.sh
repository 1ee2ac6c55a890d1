#!/usr/bin/env bash
# What does an idle keep-alive connection cost in memory, after one request?
#
#   scripts/idle.sh [CONNECTIONS]     10,000 by default
#
# Growth of the server's resident memory, divided by the connections. Kernel memory of the sockets is not in it.
# Needs python3 as the client, and descriptors: fewer connections are opened where the hard limit is low.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
[[ ${1-} != --help ]] || help

CONNECTIONS=${1:-10000}
tool python3 python3
HARD=$(ulimit -Hn)
if [[ $HARD != unlimited ]] && ((CONNECTIONS > HARD - 200)); then
    CONNECTIONS=$((HARD - 200))
    echo "the limit of $HARD descriptors allows $CONNECTIONS connections"
fi
release_build
start "$KOLK" -w 1 -l 127.0.0.1:0

python3 - "$PORT" "$PID" "$CONNECTIONS" <<'PYTHON'
import resource, socket, sys, time

port, pid, connections = map(int, sys.argv[1:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def one_request():
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    while not answer.endswith(b"Hello, World!"):
        piece = connection.recv(4096)
        assert piece, "closed instead of answered"
        answer += piece
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
print(f"{connections} idle connections: {before / 1024:.0f} KiB -> {after / 1024:.0f} KiB, "
      f"{(after - before) / connections:.0f} bytes each")
PYTHON
