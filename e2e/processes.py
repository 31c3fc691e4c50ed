"""The processes of a test run: they are started on free ports and ended with it."""
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILD = os.path.join(ROOT, ".build", "e2e")


class Processes:
    """What was started, ended by close()."""

    def __init__(self, logs):
        self.logs = logs
        self.running = []
        shutil.rmtree(logs, ignore_errors=True)
        os.makedirs(logs)

    def start(self, name, command, environment=None, address=False):
        """Starts a command. With address, its first line of output is waited for and returned."""
        path = os.path.join(self.logs, name + ".log")
        with open(path, "ab") as log:
            process = subprocess.Popen(command, env=environment, stderr=log, stdout=subprocess.PIPE if address else log, cwd=ROOT)
        self.running.append(process)
        if not address:
            return process
        line = process.stdout.readline().decode().strip()
        if not line:
            raise RuntimeError(f"{name} did not start; see {path}")
        return line

    def close(self):
        for process in reversed(self.running):
            process.terminate()
        for process in reversed(self.running):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self.running = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, seconds=120):
    """Waits until an address answers, whatever it answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def build():
    """The Lambda binaries for this machine, built as for AWS, the hosts of the tests and the command itself."""
    environment = dict(os.environ, CGO_ENABLED="0")
    flags = ["-trimpath", "-ldflags=-s -w"]
    for target, more in (("functions", ["-tags", "lambda.norpc", "./functions/..."]),
                         ("bin", ["./e2e/lambdahost", "./e2e/githubhost", "./e2e/aslrun", "./cmd/tagboat"])):
        out = os.path.join(BUILD, target)
        os.makedirs(out, exist_ok=True)
        subprocess.run(["go", "build", *flags, "-o", out + os.sep, *more], cwd=ROOT, env=environment, check=True)


def binary(name):
    return os.path.join(BUILD, "bin", name)


def python():
    return sys.executable
