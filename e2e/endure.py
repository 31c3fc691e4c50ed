"""A `tagboat serve` that is killed again and again while it releases."""
import json
import random
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from processes import binary, free_port, wait_for
from world import until


class Mortal:
    """A server at a fixed address that is killed at random moments, by a seed, and started again at once."""

    def __init__(self, world, environment, state, arguments, seed):
        self.world, self.environment, self.random = world, environment, random.Random(seed)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.line = [binary("tagboat"), "serve", "--listen", self.url.removeprefix("http://"), "--state", state, *arguments]
        self.kills, self.gap, self.process, self.over = 0, (0.0, 1.0), None, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.failure = None

    def __enter__(self):
        self.start()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.process.terminate()

    def start(self):
        self.process = self.world.processes.start("endure", self.line, self.environment)
        wait_for(self.url + "/healthz")

    def run(self):
        try:
            while not self.over.wait(self.random.uniform(*self.gap)):
                if self.process.poll() is not None:
                    raise RuntimeError(f"serve ended by itself, with {self.process.returncode}")
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                self.world.processes.running.remove(self.process)
                self.kills += 1
                self.start()
        except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
            self.failure = failure

    def ask(self, method, path, body=None, headers=None):
        """The status and the decoded answer, asked for again until a process lives long enough to give it."""
        def answer():
            if self.failure:
                raise self.failure
            request = urllib.request.Request(self.url + path, method=method, data=body and body.encode(), headers=headers or {
                "Authorization": "Bearer " + self.environment["TAGBOAT_TOKEN"]})
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as refused:
                return None if refused.code == 503 else (refused.code, json.load(refused))
            except (OSError, ValueError, urllib.error.URLError, ConnectionError):
                return None
        return until(answer, 60, 0.02, what=path)


class Stream:
    """The releases of one app, one after the other: each tag is delivered until it is acknowledged and watched to its end."""

    def __init__(self, server, world, app, count):
        self.server, self.world, self.app, self.count = server, world, app, count
        self.acknowledged, self.commits, self.failure = [], [], None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            for n in range(self.count):
                self.release(f"1.0.{n}")
        except Exception as failure:  # whatever it is, it is told by the test
            self.failure = failure

    def release(self, version):
        tag = self.app.tag(version)
        self.commits.append(self.world.github.tag(tag, self.app.files(version, "first")))
        delivery = self.world.github.delivery("push", tag)
        _, answer = self.server.ask("POST", "/webhooks/github", delivery["body"], delivery["headers"])
        [release] = answer["releases"]
        self.acknowledged.append(release)
        ended = ("succeeded", "failed_clean", "failed_dirty", "refused", "rejected", "superseded")
        view = until(lambda: (v := self.server.ask("GET", "/releases/" + release)[1]).get("state") in ended and v, 180, 0.1, what=release)
        if view["state"] != "succeeded":
            raise AssertionError(f"{release} ends {view['state']}: {json.dumps(view, indent=1)[:3000]}")


def release_all(server, world, apps, count):
    """Releases count versions of each app, all apps side by side, and gives their streams."""
    began = time.monotonic()
    streams = [Stream(server, world, app, count) for app in apps]
    for stream in streams:
        stream.thread.join()
    print(f"endure: {count * len(apps)} releases through {server.kills} kills in {time.monotonic() - began:.0f} s", flush=True)
    return streams
