"""The same faces from a disk and from a web server on the loopback: made images come in, rates go out as JSON.

    python benchmarks/remote.py [--count 5000] [--model fast] [--rounds 3] [--out benchmarks/results/remote.json]

The server is a process of its own, on the same processors, and answers at once or, as an object store does, after some
milliseconds. All ways take turns in one run; their rows must be the same but for the paths. Of each the best counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fer_fast import Classifier, classify_folder
from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.images import make_faces

RESULTS = Path(__file__).parent / "results" / "remote.json"
#: Milliseconds before each answer.
DELAYS = (0, 30)


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(Path(options.serve[0]), float(options.serve[1])))
        return
    load = load_average()
    with tempfile.TemporaryDirectory() as scratch, Classifier(model=options.model) as classifier:
        faces = Path(scratch) / "faces"
        names = [path.name for path in make_faces(faces, options.count)]
        servers, inputs = [], {"disk": str(faces)}
        try:
            for delay in DELAYS:
                command = [sys.executable, __file__, "--serve", str(faces), str(delay / 1000)]
                servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
                address = servers[-1].stdout.readline().strip()
                (Path(scratch) / f"{delay}.txt").write_text("".join(f"{address}/{name}\n" for name in names))
                inputs[f"web, {delay} ms"] = f"@{scratch}/{delay}.txt"
            rates = measured(inputs, classifier, options.rounds, Path(scratch) / "out.csv")
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    about = {"environment": environment(), "load": load, "count": options.count, "model": options.model}
    options.out.write_text(json.dumps({**about, "images_per_second": rates}, indent=1) + "\n")
    print(json.dumps(rates, indent=1))


def measured(inputs: dict[str, str], classifier: Classifier, rounds: int, out: Path) -> dict[str, list[float]]:
    """Images a second by each way and round."""
    rates: dict[str, list[float]] = {way: [] for way in inputs}
    rows = None
    for _ in range(rounds):
        for way, source in inputs.items():
            summary = classify_folder(source, out, classifier=classifier)
            found = [line.partition(",")[2] for line in out.read_text().splitlines()]
            assert rows in (None, found) and summary.faultless, f"{way}: other rows than from the disk"
            rows = found
            rates[way].append(round(summary.new / summary.seconds, 1))
    return rates


async def serve(folder: Path, delay: float) -> None:
    """Serves a folder until it is ended; says where."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(delay)
        return web.Response(body=(folder / request.match_info["name"]).read_bytes())

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
