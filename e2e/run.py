#!/usr/bin/env python3
"""Runs the end-to-end tests. usage: run.py [-j N] [MODULE[.CLASS[.TEST]] …]

Each module has a world of its own and is a process of its own; its tests run side by side, since each has an
application of its own. A skipped test is a failure where CI=true.
"""
import argparse
import concurrent.futures
import glob
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
# How many tests of a module run at a time: they wait most of the time.
AT_ONCE = 4


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def run_test(test):
    began, result = time.monotonic(), unittest.TestResult()
    result.failfast = False
    test(result)
    problems = [text for _, text in result.failures + result.errors]
    skipped = [reason for _, reason in result.skipped]
    word = "FAIL" if problems else "skip" if skipped else "ok"
    line = f"{word:4} {time.monotonic() - began:6.1f} s  {test.id()} {' '.join(skipped)}\n" + "\n".join(problems)
    sys.stdout.write(line.rstrip("\n") + "\n")
    sys.stdout.flush()
    return not problems and not (skipped and os.environ.get("CI") == "true")


def run_module(names):
    """Runs tests of one module, between its setUpModule and tearDownModule."""
    tests = list(tests_of(unittest.defaultTestLoader.loadTestsFromNames(names)))
    tests.sort(key=lambda test: not getattr(getattr(test, test._testMethodName), "slow", False))
    if not tests:
        raise ValueError(f"{' '.join(names)}: no tests")
    module = sys.modules[names[0].split(".")[0]]
    try:
        getattr(module, "setUpModule", lambda: None)()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return all(list(pool.map(run_test, tests)))
    finally:
        getattr(module, "tearDownModule", lambda: None)()


def run_modules(modules, at_once):
    def child(names):
        return subprocess.run([sys.executable, __file__, "--module", *names], check=False).returncode == 0

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return all(list(pool.map(child, modules)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=4, help="modules at a time")
    parser.add_argument("--module", action="store_true", help="the names are of one module, which runs here")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    sys.path.insert(0, HERE)
    names = arguments.names or sorted(os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "test_*.py")))
    if arguments.module:
        sys.exit(0 if run_module(names) else 1)
    import processes
    processes.build()  # once, before the worlds do it side by side
    modules = {}
    for name in names:
        modules.setdefault(name.split(".")[0], []).append(name)
    began = time.monotonic()
    passed = run_modules(list(modules.values()), arguments.j)
    print(f"{'ok' if passed else 'FAIL'}: {len(modules)} modules in {time.monotonic() - began:.0f} s")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
