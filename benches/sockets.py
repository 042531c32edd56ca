"""Whole requests over loopback. The floor, the limit and this crate are the servers; wrk with 64
connections is the client.

Prints `setting path round contestant requests_per_second`. There are two settings: server and wrk
share all cores, as on a small machine; or the server runs on core 0 and wrk on core 1.
Arguments: CONTEST [ROUNDS].
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

CONTESTANTS = ["floor", "limit", "tower-sealed-session"]
PATHS = ["/untouched", "/read"]
# setting: the prefix of the server's command, and the prefix of wrk's command
SETTINGS = {
    "shared cores": ([], []),
    "a core each": (["taskset", "-c", "0"], ["taskset", "-c", "1"]),
}
PACKAGES = {"taskset": "util-linux", "wrk": "wrk"}


class Server(NamedTuple):
    contestant: str
    address: str
    cookies: str


@contextmanager
def serve(pin: list[str], contest: str, contestant: str) -> Iterator[Server]:
    command = [*pin, contest, "serve", contestant, "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            sys.exit(f"{contestant} did not start: {' '.join(command)}")
        address, cookies = line.rstrip("\n").split("\t")
        yield Server(contestant, address, cookies)
    finally:
        process.kill()
        process.wait()


def requests_per_second(pin: list[str], server: Server, path: str, cookies: str) -> float:
    command = [*pin, "wrk", "-t1", "-c64", "-d1s"]
    command += ["-H", f"Cookie: {cookies}", f"http://{server.address}{path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    trouble = "Non-2xx" in done.stdout or "Socket errors" in done.stdout
    if done.returncode != 0 or trouble or not rate:
        sys.exit(f"{server.contestant} {path}:\n{done.stdout}{done.stderr}")
    return float(rate[1])


def rounds(setting: str, servers: list[Server], path: str, count: int) -> None:
    # the floor sets no cookie; it gets the cookies of another server, so that all requests have
    # the same length
    cookies = {server.contestant: server.cookies for server in servers}
    cookies["floor"] = servers[-1].cookies
    for number in range(count + 1):
        at = number % len(servers)
        for server in servers[at:] + servers[:at]:
            rate = requests_per_second(SETTINGS[setting][1], server, path, cookies[server.contestant])
            # the first round warms up
            if number > 0:
                print(setting, path, number, server.contestant, rate, sep="\t", flush=True)


def main(contest: str, count: str = "25") -> None:
    for tool, package in PACKAGES.items():
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install {package}")
    # without this, a terminated run would leave its servers running
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    for setting, (pin, _) in SETTINGS.items():
        with ExitStack() as stack:
            servers = [stack.enter_context(serve(pin, contest, name)) for name in CONTESTANTS]
            for path in PATHS:
                rounds(setting, servers, path, int(count))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
