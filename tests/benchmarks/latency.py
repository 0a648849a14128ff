"""Latency of one opinion in the process, start-up time and memory of the served artifact.

    python -m tests.benchmarks.latency [model/release]

Prints one JSON object; run it on an idle machine.
"""

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

from model.text import Opinion  # noqa: E402 - loading is part of what is measured
from model.triage import load_triage  # noqa: E402

ROUNDS = 7
OPINION = (
    "我们小区三号楼的电梯从上个月开始经常停在半层，昨天晚上又把一个老人关在里面二十分钟，"
    "物业说维保单位不来，请尽快安排检修。"
)


def resident_megabytes() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure and print."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "model/release")
    triage = load_triage(directory, Path("data"))
    classifier = triage.classifier
    reading = Opinion(OPINION).reading
    classifier.predict([reading])
    ready = time.perf_counter() - BEGAN
    medians = []
    for _ in range(ROUNDS):
        times = []
        for _ in range(30):
            start = time.perf_counter()
            classifier.predict([reading])
            times.append(time.perf_counter() - start)
        medians.append(statistics.median(times) * 1000)
    result = {
        "artifact": classifier.artifact.version,
        "characters": len(reading),
        "single_ms_median_of_medians": round(statistics.median(medians), 2),
        "single_ms_rounds": [round(m, 2) for m in medians],
        "ready_s": round(ready, 2),
        "resident_mb": round(resident_megabytes()),
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
