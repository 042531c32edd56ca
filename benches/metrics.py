"""The price of metrics: two builds of `contest`, without metrics and with a recorder, take turns.

Prints a table. Arguments: PLAIN MEASURED [ROUNDS]. Each program has both the floor and this crate; the overhead is the
difference of two slices of one program, and a ratio is that of two programs in one round.
"""

import subprocess
import sys
from statistics import median, quantiles

CELLS = [(visit, size) for visit in ("untouched", "read", "write") for size in ("small", "medium", "large")]
FLOOR, OURS = "floor", "tower-sealed-session"


class Program:
    def __init__(self, path: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([path, "slices"], stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def slice(self, contestant: str, visit: str, size: str) -> float:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{contestant}\t{visit}\t{size}\n")
        return float(self.process.stdout.readline())

    def overhead(self, turn: int, visit: str, size: str) -> float:
        order = [FLOOR, OURS] if turn % 2 else [OURS, FLOOR]
        found = {name: self.slice(name, visit, size) for name in order}
        return found[OURS] - found[FLOOR]


def main(plain: str, measured: str, rounds: str = "101") -> None:
    programs = [Program(plain), Program(measured)]
    print("| visit | size | without, ns | with a recorder, ns | ratio | half of the rounds |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for visit, size in CELLS:
        pairs = []
        for turn in range(int(rounds) + 1):
            found = {at: programs[at].overhead(turn // 2, visit, size) for at in (turn % 2, 1 - turn % 2)}
            # the first round warms up
            if turn > 0:
                pairs.append((found[0], found[1]))
        ratios = [with_ / without for without, with_ in pairs]
        low, _, high = quantiles(ratios, n=4)
        without, with_ = (median(side) for side in zip(*pairs, strict=True))
        print(f"| {visit} | {size} | {without:.0f} | {with_:.0f} | {median(ratios):.3f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
