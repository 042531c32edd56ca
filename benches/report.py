"""Makes the tables of README.md and the picture price.svg from the measurements of `run`.

Argument: the folder with times.tsv, sizes.tsv, allocations.tsv, instructions.tsv, sockets.tsv and starlette.tsv.
"""

import datetime
import math
import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).parent
OURS, FLOOR, LIMIT, HEDGED = "tower-sealed-session", "floor", "limit", "limit, hedged IV"
SESHCOOKIE, COOKIE_STORE = "seshcookie", "tower-sessions-cookie-store, private"
# has no layer: untouched, there is nothing to compare with
AXUM_EXTRA = "axum-extra, PrivateCookieJar"
SIZES = ["small", "medium", "large"]
NEW_BY_VALUE = "new, value by value"
# the visits whose overhead is compared with that of the peers
COMPARED = ["untouched", "read", "write", NEW_BY_VALUE]

# ours at most so much of theirs: small, medium, large
RATIOS = {
    (SESHCOOKIE, "untouched"): (0.20, 0.20, 0.20),
    (SESHCOOKIE, "read"): (0.50, 0.35, 0.30),
    (SESHCOOKIE, "write"): (0.50, 0.45, 0.50),
    (SESHCOOKIE, NEW_BY_VALUE): (0.70, 0.70, 0.70),
    (COOKIE_STORE, "untouched"): (0.12, 0.12, 0.12),
    (COOKIE_STORE, "read"): (0.25, 0.20, 0.20),
    (COOKIE_STORE, "write"): (0.25, 0.20, 0.20),
    (LIMIT, "read"): (1.30, 1.30, 1.30),
    (LIMIT, "write"): (1.40, 1.40, 1.40),
}
ALLOCATIONS = {"untouched": 4, "read": 6, "write": 9}
COOKIE_BYTES = {"small": 219, "medium": 454, "large": 3206}
SOCKETS = {"/untouched": 0.97, "/read": 0.93}
PROMISED_SETTING = "shared cores"

# (visit, size) -> contestant -> a value for each round
Rounds = dict[tuple[str, str], dict[str, list[float]]]
# (visit, size) -> contestant -> count
Counts = dict[tuple[str, str], dict[str, int]]


def lines(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def read_rounds(path: Path) -> Rounds:
    """Lines are in the order of rounds, so that those at one index were measured together."""
    rounds: Rounds = defaultdict(lambda: defaultdict(list))
    for visit, size, _, contestant, nanoseconds in lines(path):
        rounds[visit, size][contestant].append(float(nanoseconds))
    return rounds


def read_counts(path: Path) -> Counts:
    counts: Counts = defaultdict(dict)
    for visit, size, contestant, count in lines(path):
        counts[visit, size][contestant] = int(count)
    return counts


def p10(values: Iterable[float]) -> float:
    return quantiles(values, n=10)[0]


def own_price(cell: Mapping[str, list[float]], contestant: str, floor: str = FLOOR) -> float:
    return median(time - below for time, below in zip(cell[contestant], cell[floor], strict=True))


def ratio(cell: Mapping[str, list[float]], peer: str) -> float:
    """A peer below the floor counts as one that cannot be beaten."""
    triples = zip(cell[OURS], cell[peer], cell[FLOOR], strict=True)
    return median(
        (ours - floor) / (theirs - floor) if theirs > floor else math.inf
        for ours, theirs, floor in triples
    )


def promised(text: str, kept: bool, sign: str, limit: str) -> str:
    return f"{text} ({sign} {limit})" if kept else f"**{text}, not met** ({sign} {limit})"


def table(head: list[str], rows: Iterable[list[str]], words: int = 1) -> str:
    """The first columns are words, the others numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def ratio_cell(times: Rounds, peer: str, visit: str, size: str) -> str:
    found = ratio(times[visit, size], peer)
    if math.isinf(found) or (peer, visit) == (AXUM_EXTRA, "untouched"):
        return "–"
    if (peer, visit) not in RATIOS:
        return f"{found:.3f}"
    limit = RATIOS[peer, visit][SIZES.index(size)]
    return promised(f"{found:.3f}", found <= limit, "≤", f"{limit:.2f}")


def ratio_table(times: Rounds, peers: list[str]) -> str:
    rows = [
        [peer, visit, *(ratio_cell(times, peer, visit, size) for size in SIZES)]
        for peer in peers
        for visit in COMPARED
    ]
    return table(["against", "visit", *SIZES], rows, words=2)


def time_table(times: Rounds, contestants: list[str]) -> str:
    rows = (
        [visit, size, *(f"{p10(cell[name]) / 1000:.2f}" for name in contestants)]
        for (visit, size), cell in times.items()
    )
    return table(["visit", "size", *contestants], rows, words=2)


def own_table(times: Rounds, contestants: list[str]) -> str:
    rows = (
        [visit, size, *(signed(round(own_price(cell, name))) for name in contestants)]
        for (visit, size), cell in times.items()
    )
    return table(["visit", "size", *contestants], rows, words=2)


def signed(number: int) -> str:
    return str(number).replace("-", "−")


def allocation_cell(cell: Mapping[str, int], visit: str, contestant: str) -> str:
    above = cell[contestant] - cell[FLOOR]
    limit = ALLOCATIONS.get(visit)
    if contestant != OURS or limit is None:
        return signed(above)
    return promised(signed(above), above <= limit, "≤", str(limit))


def allocation_table(allocations: Counts, contestants: list[str]) -> str:
    rows = (
        [visit, size, *(allocation_cell(cell, visit, name) for name in contestants)]
        for (visit, size), cell in allocations.items()
        # as in the times, some visits are the same for each size
        if size == "small" or visit not in ("bare", "garbage")
    )
    return table(["visit", "size", *contestants], rows, words=2)


def instruction_table(instructions: Counts) -> str:
    cells = {key: cell for key, cell in instructions.items() if key[0] != "others"}
    contestants = list(next(iter(cells.values())))
    rows = (
        [visit, size, *(f"{cell[name]:,}" for name in contestants)]
        for (visit, size), cell in cells.items()
    )
    return table(["visit", "size", *contestants], rows, words=2)


def others_table(instructions: Counts) -> str:
    cells = {size: cell for (visit, size), cell in instructions.items() if visit == "others"}
    rows = [[OURS, *(f"{cell[OURS]:,}" for cell in cells.values())]]
    return table(["other cookies", *cells], rows)


def size_table(folder: Path) -> str:
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for size, contestant, count in lines(folder / "sizes.tsv"):
        if contestant != FLOOR:
            sizes[contestant][size] = int(count)
    rows = (
        [name, *(size_cell(name, size, cell[size]) for size in SIZES)]
        for name, cell in sizes.items()
    )
    return table(["contestant", *SIZES], rows)


def size_cell(contestant: str, size: str, count: int) -> str:
    if contestant != OURS:
        return str(count)
    limit = COOKIE_BYTES[size]
    return promised(str(count), count <= limit, "≤", str(limit))


def socket_table(folder: Path) -> str:
    rates: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for setting, path, _, contestant, rate in lines(folder / "sockets.tsv"):
        rates[setting, path][contestant].append(float(rate))
    names = [FLOOR, LIMIT, OURS]
    rows = []
    for (setting, path), cell in rates.items():
        absolute = [f"{median(cell[name]):,.0f}" for name in names]
        limit, ours = (kept(cell, name) for name in (LIMIT, OURS))
        found = f"{ours:.1%}"
        if setting == PROMISED_SETTING:
            found = promised(found, ours >= SOCKETS[path], "≥", f"{SOCKETS[path]:.0%}")
        rows.append([setting, path, *absolute, f"{limit:.1%}", found])
    return table(["setting", "path", *names, f"{LIMIT} / floor", f"{OURS} / floor"], rows, words=2)


def kept(cell: Mapping[str, list[float]], contestant: str) -> float:
    return median(rate / most for rate, most in zip(cell[contestant], cell[FLOOR], strict=True))


def starlette_table(folder: Path, times: Rounds) -> str:
    floor, middleware = "Starlette floor", "Starlette SessionMiddleware"
    rows = []
    for key, cell in read_rounds(folder / "starlette.tsv").items():
        numbers = [p10(cell[floor]), p10(cell[middleware]), own_price(cell, middleware, floor)]
        numbers.append(own_price(times[key], OURS))
        rows.append([*key, *(f"{number / 1000:.2f}" for number in numbers)])
    head = ["visit", "size", floor, middleware, "its overhead", f"overhead of {OURS}"]
    return table(head, rows, words=2)


def machine(measured: Path) -> str:
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    kernel = re.match(r"[\d.]*\d", platform.release())
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    day = datetime.date.fromtimestamp(measured.stat().st_mtime)
    parts = [
        model[1].strip() if model else platform.machine(),
        f"{os.cpu_count()} cores",
        f"{platform.system()} {kernel[0] if kernel else ''}",
        rustc.stdout.strip(),
        f"measured {day}",
    ]
    return ", ".join(parts) + "."


def results(folder: Path, times: Rounds) -> str:
    names = list(dict.fromkeys(name for _, name, _ in lines(folder / "sizes.tsv")))
    paid = [name for name in names if name != FLOOR]
    peers = [SESHCOOKIE, COOKIE_STORE, LIMIT]
    peers += [name for name in paid if name not in (*peers, OURS)]
    allocations = read_counts(folder / "allocations.tsv")
    instructions = read_counts(folder / "instructions.tsv")
    ratios, sockets = ratio_table(times, peers), socket_table(folder)
    allocated, sizes = allocation_table(allocations, paid), size_table(folder)
    missed = sum(part.count("not met") for part in (ratios, allocated, sizes, sockets))
    sections = [
        machine(folder / "times.tsv"),
        "Every promise is met." if missed == 0 else f"**Promises not met: {missed}**, each marked below.",
        "![Overhead of a read and a write of the medium session](price.svg)",
        "### Overhead relative to the peers",
        f"Overhead of {OURS} divided by the peer's: the median of the rounds' ratios. A promise is in brackets. "
        "“–”: the peer's overhead is zero or negative.",
        ratios,
        "### Time of a request",
        "Microseconds, including the router: the tenth percentile of the rounds.",
        time_table(times, names),
        "### Overhead",
        "Nanoseconds that a request takes longer than the floor's: the median of the rounds' differences. axum-extra "
        "has no layer, not even the floor's, so its overhead is about zero or negative when it does nothing.",
        own_table(times, paid),
        "### Allocations",
        "Allocations of one request, minus the floor's.",
        allocated,
        "### Instructions",
        "Instructions of one request under callgrind, including the router. Callgrind hides the processor's SHA "
        "instructions, so SHA-256 is counted in its software form, which takes many times more instructions. "
        "Contestants that use HMAC-SHA-256 therefore look worse here than in the times.",
        instruction_table(instructions),
        "The same for a read of the small session, after this number of other cookies:",
        others_table(instructions),
        "### Cookie",
        "Bytes of `name=value` that the browser sends.",
        sizes,
        "### Sockets",
        "Requests per second over loopback, sent by `wrk` on the same machine with 64 connections: medians of the "
        "rounds, and the median of the rounds' ratios. All requests have the same length and carry a medium session.",
        sockets,
        "### Starlette",
        "Microseconds, for reference: Starlette's session middleware and its own floor. Its cookie is signed and not "
        "encrypted. Times are tenth percentiles and overheads are medians, so an overhead can exceed the time.",
        starlette_table(folder, times),
    ]
    return "\n\n".join(sections)


def write_results(text: str) -> None:
    readme = HERE / "README.md"
    before, rest = readme.read_text().split("<!-- results -->\n")
    _, after = rest.split("<!-- /results -->")
    readme.write_text(f"{before}<!-- results -->\n\n{text}\n\n<!-- /results -->{after}")


WIDTH, LEFT, RIGHT, TOP, BAR, GAP = 760, 258, 694, 84, 18, 6
COLOURS = {OURS: "#c2410c", LIMIT: "#9aa4b2"}
PEER = "#5b7ba3"


def picture(times: Rounds) -> str:
    cells = {visit: times[visit, "medium"] for visit in ("read", "write")}
    prices = {
        visit: {name: own_price(cell, name) / 1000 for name in picture_order(cell)}
        for visit, cell in cells.items()
    }
    step, longest = scale(max(max(bars.values()) for bars in prices.values()))
    per_us = (RIGHT - LEFT) / longest
    drawn, y = [], TOP
    for visit, bars in prices.items():
        drawn.append(text(14, y + 15, visit.capitalize(), "font-weight='bold' font-size='15'"))
        y += 26
        for name, price in bars.items():
            drawn += bar(y, name, price, per_us)
            y += BAR + GAP
        y += 14
    return "\n".join([*frame(y + 58), *axis(y, step, longest, per_us), *drawn, "</svg>", ""])


def picture_order(cell: Mapping[str, list[float]]) -> list[str]:
    others = [name for name in cell if name not in (OURS, LIMIT, HEDGED, FLOOR)]
    return [OURS, LIMIT, *sorted(others, key=lambda name: own_price(cell, name))]


def scale(most: float) -> tuple[int, int]:
    """A step in whole microseconds that gives at most ten, and the length of the axis."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if most / step <= 10)
    return step, math.ceil(most / step) * step


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' {style}>{escape(words)}</text>"


def bar(y: int, name: str, price: float, per_us: float) -> list[str]:
    colour = COLOURS.get(name, PEER)
    bold = " font-weight='bold'" if name == OURS else ""
    width = max(price * per_us, 1)
    middle = y + BAR - 4
    return [
        text(LEFT - 8, middle, name, f"text-anchor='end'{bold}"),
        f"<rect x='{LEFT}' y='{y}' width='{width:.1f}' height='{BAR}' fill='{colour}'/>",
        text(LEFT + width + 6, middle, f"{price:.2f}", bold.strip()),
    ]


def frame(height: int) -> list[str]:
    title = "Overhead of a session, medium size"
    below = "Microseconds a request takes longer than with a layer that does nothing. Less is better."
    return [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' "
        f"viewBox='0 0 {WIDTH} {height}' font-family='sans-serif' font-size='13' fill='#1f2937' role='img'>",
        f"<title>{title}</title>",
        f"<rect x='0.5' y='0.5' width='{WIDTH - 1}' height='{height - 1}' rx='6' fill='#ffffff' stroke='#d0d7de'/>",
        text(14, 30, title, "font-size='18' font-weight='bold'"),
        text(14, 54, below, "fill='#4b5563'"),
    ]


def axis(bottom: int, step: int, longest: int, per_us: float) -> list[str]:
    drawn = []
    for tick in range(0, longest + 1, step):
        x = LEFT + tick * per_us
        drawn.append(f"<line x1='{x:.1f}' y1='{TOP}' x2='{x:.1f}' y2='{bottom}' stroke='#e5e7eb'/>")
        drawn.append(text(x, bottom + 18, str(tick), "text-anchor='middle' fill='#4b5563'"))
    label = "overhead, µs a request"
    return [*drawn, text((LEFT + RIGHT) / 2, bottom + 40, label, "text-anchor='middle' fill='#4b5563'")]


def main(folder: Path) -> None:
    times = read_rounds(folder / "times.tsv")
    write_results(results(folder, times))
    (HERE / "price.svg").write_text(picture(times))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
