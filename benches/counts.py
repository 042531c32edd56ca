"""Instructions per request: callgrind counts 2000 and 1000 requests, and the difference is used.

Prints `visit size contestant instructions`. In the last lines the visit is `others`, and the size
is the number of other cookies in a read of the small session. Arguments: CONTEST [TIMES].
"""

import re
import shutil
import subprocess
import sys

CONTESTANTS = [
    "floor",
    "limit",
    "tower-sealed-session",
    "seshcookie",
    "tower-sessions-cookie-store, private",
]
OURS = CONTESTANTS[2]
VISITS = ["untouched", "read", "write"]
SIZES = ["small", "medium", "large"]
OTHERS = [0, 10, 50, 100]


def collected(contest: str, visitor: list[str], times: int, others: list[str]) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [contest, "repeat", *visitor, str(times), *others]
    done = subprocess.run(command, capture_output=True, text=True)
    count = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not count:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return int(count[1])


def instructions(contest: str, times: int, visitor: list[str], others: list[str]) -> int:
    once, twice = (collected(contest, visitor, n, others) for n in (times, 2 * times))
    return round((twice - once) / times)


def main(contest: str, times: str = "1000") -> None:
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing: apt-get install valgrind")
    for visit in VISITS:
        for size in SIZES:
            for name in CONTESTANTS:
                count = instructions(contest, int(times), [name, visit, size], [])
                print(visit, size, name, count, sep="\t", flush=True)
    for others in OTHERS:
        count = instructions(contest, int(times), [OURS, "read", "small"], [str(others)])
        print("others", others, OURS, count, sep="\t", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
