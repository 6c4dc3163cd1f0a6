"""Runs the tests of ./run test, part by part, and closes with one line: N passed, N failed."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

from test_run import BUILD, ROOT, Output, Run

GROUPS = {"sanitizers": ["asan", "ubsan", "tsan"]}


def scale(run: Run, long_scale: int = 100) -> str:
    return os.environ.get("PENSTOCK_TEST_SCALE", str(long_scale) if run.options.long else "1")


def without_address_randomisation() -> list[str]:
    """ThreadSanitizer's runtime does not start where addresses have 32 random bits."""
    command = ["setarch", os.uname().machine, "-R"]
    works = shutil.which("setarch") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else []


def doctest(
    run: Run, name: str, preset: str, arguments: list[str], *, executable: str = "penstock_tests", **env: str
) -> None:
    begin = time.monotonic()
    prefix = without_address_randomisation() if preset == "tsan" else []
    env.setdefault("PENSTOCK_TEST_TIMEOUT_S", "7200" if run.options.long else "120" if preset == "dev" else "300")
    program = BUILD / preset / "tests/cpp" / executable
    status, text = run.command(
        f"{name}: running the C++ tests",
        [*prefix, str(program), "--no-colors=true", *arguments],
        36000 if run.options.long else 1200,
        **env,
    )
    found = re.search(r"test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed \|\s*(\d+) skipped", text)
    passed, failed, skipped = (int(n) for n in found.groups()) if found else (0, 0, 0)
    if failed == 0 and (status != 0 or not found):
        failed = 1  # it crashed, timed out, or a sanitizer reported
    run.add(name, passed, failed, skipped, time.monotonic() - begin)


def pytest(run: Run, name: str, preset: str, arguments: list[str], *, package: str = "python", **env: str) -> None:
    begin = time.monotonic()
    report = BUILD / "logs" / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    path = f"{BUILD / preset / package}:{ROOT / 'bench'}"
    timeout_s = 7200 if run.options.long else 300
    command = [
        str(ROOT / ".venv/bin/python"),
        "-m",
        "pytest",
        "-q",
        f"--timeout={timeout_s}",
        f"--junitxml={report}",
    ]
    status, _ = run.command(
        f"{name}: running the Python tests",
        [*command, *arguments],
        36000 if run.options.long else 1800,
        PYTHONPATH=path,
        PENSTOCK_BUILD_DIR=str(BUILD / preset),
        **env,
    )
    total = failed = skipped = 0
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    if status not in (0, 5) and failed == 0:
        failed, total = 1, total + 1
    run.add(name, total - failed - skipped, failed, skipped, time.monotonic() - begin)


def part_cpp(run: Run) -> None:
    if run.build("dev"):
        doctest(run, "cpp", "dev", run.options.arguments, PENSTOCK_TEST_SCALE=scale(run))
    else:
        run.add("cpp (build)", 0, 1)


def part_consumer(run: Run) -> None:
    """A project of somebody else's: finds the installed package, compiles, links and runs."""
    begin = time.monotonic()
    prefix, build = BUILD / "consumer/prefix", BUILD / "consumer/build"
    shutil.rmtree(BUILD / "consumer", ignore_errors=True)
    find = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"]
    good = (
        run.build("dev", "--target", "penstock")
        and run.step(
            "consumer: installing",
            ["cmake", "--install", BUILD / "dev", "--prefix", prefix, "--component", "library"],
        )
        and run.step(
            "consumer: configuring",
            ["cmake", "-S", ROOT / "tests/consumer", "-B", build, "-G", "Ninja", *find],
        )
        and run.step("consumer: building", ["cmake", "--build", build])
        and run.step("consumer: running", [build / "consumer"])
    )
    run.add("consumer", int(good), int(not good), 0, time.monotonic() - begin)


def part_python(run: Run) -> None:
    if run.need("test", "video", "interop", "browser") and run.build("dev", "--target", "penstock_python"):
        pytest(run, "python", "dev", run.options.arguments or ["tests/python"], PENSTOCK_TEST_SCALE=scale(run))
    else:
        run.add("python (build)", 0, 1)


def part_sim(run: Run) -> None:
    """What runs on a GPU, over a simulated CUDA (tests/sim_cuda)."""
    if not (run.need("test") and run.build("dev")):
        run.add("sim (build)", 0, 1)
        return
    if not (BUILD / "dev/tests/cpp/penstock_tests_sim").exists():
        run.output.say("sim: left out, this build has no CUDA headers")
        run.add("sim", 0, 0, 1)
        return
    cases = run.options.arguments or ["--test-case=contract:*,sim:*,gpu:*"]
    doctest(run, "sim-cpp", "dev", cases, executable="penstock_tests_sim", PENSTOCK_TEST_SCALE=scale(run))
    tests = ["tests/python/sim", "--device", "cuda"]
    pytest(run, "sim-python", "dev", tests, package="sim_python", PENSTOCK_TEST_SCALE=scale(run))


def part_wheel(run: Run) -> None:
    """The wheel as a stranger gets it: built in isolation, installed alone, imported."""
    begin = time.monotonic()
    folder = BUILD / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    venv = folder / "venv/bin/python"
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--progress-bar",
        "off",
        "--no-deps",
        "-w",
        folder,
        ".",
    ]
    good = run.step("wheel: building", build)
    wheels = list(folder.glob("*.whl"))
    good = (
        good
        and run.step("wheel: making an environment", [sys.executable, "-m", "venv", folder / "venv"])
        and run.step("wheel: installing", [venv, "-m", "pip", "install", "--progress-bar", "off", *wheels])
        and run.step("wheel: checking", [venv, "-I", ROOT / "tools/check_wheel.py", *wheels])
    )
    run.add("wheel", int(good), int(not good), 0, time.monotonic() - begin)


def preloaded(*libraries: str) -> str:
    paths = [subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip() for name in libraries]
    return " ".join(paths)


def part_asan(run: Run) -> None:
    if not (run.need("test", "video", "interop") and run.build("asan")):
        run.add("asan (build)", 0, 1)
        return
    doctest(
        run,
        "asan",
        "asan",
        run.options.arguments,
        PENSTOCK_TEST_SCALE=scale(run, 10),
        ASAN_OPTIONS="detect_stack_use_after_return=1",
    )
    pytest(
        run,
        "asan-python",
        "asan",
        # What pytest captures is lost when AddressSanitizer ends the process: its report goes past it.
        ["tests/python", "-m", "asan", "-p", "no:cacheprovider", "--capture=sys"],
        PENSTOCK_TEST_SCALE=scale(run, 10),
        LD_PRELOAD=preloaded("libasan.so", "libstdc++.so.6"),
        ASAN_OPTIONS="detect_leaks=0",
        PYTHONMALLOC="malloc",
    )


def part_ubsan(run: Run) -> None:
    if run.build("ubsan"):
        doctest(
            run,
            "ubsan",
            "ubsan",
            run.options.arguments,
            PENSTOCK_TEST_SCALE=scale(run, 10),
            UBSAN_OPTIONS="print_stacktrace=1",
        )
    else:
        run.add("ubsan (build)", 0, 1)


def part_tsan(run: Run) -> None:
    if run.build("tsan"):
        doctest(
            run,
            "tsan",
            "tsan",
            run.options.arguments or ["--test-case-exclude=*[slow]*"],
            PENSTOCK_TEST_SCALE=scale(run, 10),
            TSAN_OPTIONS="second_deadlock_stack=1",
        )
    else:
        run.add("tsan (build)", 0, 1)


def part_fuzz(run: Run) -> None:
    """Each target for a few seconds; with --long they share an hour. New inputs stay in build/fuzz/corpus."""
    if not (run.need("fuzz") and run.build("fuzz")):
        run.add("fuzz (build)", 0, 1)
        return
    names = sorted(p.stem for p in (ROOT / "tests/fuzz").glob("fuzz_*.cpp"))
    minutes = float(os.environ.get("PENSTOCK_FUZZ_MINUTES", "60" if run.options.long else "0"))
    seconds = int(minutes * 60 / max(1, len(names))) or 10
    for name in names:
        begin = time.monotonic()
        corpus, found = BUILD / "fuzz/corpus" / name, BUILD / "fuzz/found"
        seeds = ROOT / "tests/fuzz/corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        found.mkdir(parents=True, exist_ok=True)
        folders = [corpus] + ([seeds] if seeds.is_dir() else [])
        status, _ = run.command(
            f"{name}: fuzzing for {seconds} s",
            [
                BUILD / "fuzz/tests/fuzz" / name,
                f"-max_total_time={seconds}",
                "-print_final_stats=1",
                "-timeout=20",
                f"-artifact_prefix={found}/{name}-",
                *folders,
            ],
            seconds + 300,
        )
        run.add(name, int(status == 0), int(status != 0), 0, time.monotonic() - begin)


def part_gpu(run: Run) -> None:
    """Next to a GPU: the C++ tests that are called [gpu], those called [memcheck] once more under compute-sanitizer,
    and tests/gpu.
    """
    if not (run.need("test") and run.build("dev")):
        run.add("gpu (build)", 0, 1)
        return
    if not run.options.arguments:
        doctest(run, "gpu-cpp", "dev", ["--test-case=*[gpu]*"])
        sanitizer = shutil.which("compute-sanitizer", path=f"{os.environ['PATH']}:/usr/local/cuda/bin")
        if sanitizer and has_gpu():
            begin = time.monotonic()
            program = BUILD / "dev/tests/cpp/penstock_tests"
            options = ["--tool", "memcheck", "--report-api-errors", "no", "--error-exitcode", "9"]
            status, _ = run.command(
                "gpu-memcheck: running the C++ tests under compute-sanitizer",
                [sanitizer, *options, program, "--no-colors=true", "--test-case=*[memcheck]*"],
                600,
                PENSTOCK_TEST_TIMEOUT_S="300",
            )
            run.add("gpu-memcheck", int(status == 0), int(status != 0), 0, time.monotonic() - begin)
    pytest(run, "gpu", "dev", run.options.arguments or ["tests/gpu"])


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


PARTS: dict[str, Callable[[Run], None]] = {
    "cpp": part_cpp,
    "consumer": part_consumer,
    "python": part_python,
    "sim": part_sim,
    "wheel": part_wheel,
    "asan": part_asan,
    "ubsan": part_ubsan,
    "tsan": part_tsan,
    "fuzz": part_fuzz,
    "gpu": part_gpu,
}


def main() -> int:
    arguments = sys.argv[1:]
    passed_on: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, passed_on = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(prog="./run test")
    parser.add_argument(
        "--long", action="store_true", help="100 times the random runs, an hour of fuzzing; log in bench/results"
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join([*PARTS, *GROUPS]))
    options = parser.parse_args(arguments)
    options.arguments = passed_on
    parts = [p for name in options.parts for p in GROUPS.get(name, [name])] or list(PARTS)
    for part in parts:
        if part not in PARTS:
            parser.error(f"no such part: {part}; there are {' '.join([*PARTS, *GROUPS])}")
    if os.environ.get("PENSTOCK_OFFLINE"):
        parts = [p for p in parts if p != "wheel"]
    if not options.parts and not has_gpu():
        parts = [p for p in parts if p != "gpu"]

    log = None
    if options.long:
        log = ROOT / "bench/results" / f"test-long-{datetime.datetime.now():%Y%m%d-%H%M}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
    output = Output(log)
    run = Run(options, output)
    for part in parts:
        PARTS[part](run)

    output.line("")
    for name, passed, failed, skipped, seconds in run.rows:
        output.line(f"  {name:24} {passed:6} passed {failed:4} failed {skipped:4} skipped {seconds:7.0f} s")
    passed = sum(row[1] for row in run.rows)
    failed = sum(row[2] for row in run.rows)
    skipped = sum(row[3] for row in run.rows)
    for failure in run.failures:
        output.line(failure)
    output.say(f"done; {skipped} skipped" + (f"; the log is {log.relative_to(ROOT)}" if log else ""))
    output.line(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started is ended too
    sys.exit(main())
