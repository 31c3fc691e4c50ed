"""A `tagboat serve` that is killed again and again while it releases."""
import collections
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


# How long a process lives at most, in seconds, and by how much longer the next one does if no release ended meanwhile: on a slow
# machine nothing would ever come to its end else.
LIFE, LONGER = 1.0, 1.05


class Mortal:
    """A server at a fixed address that is killed at random moments, by a seed, and started again at once."""

    def __init__(self, world, environment, state, arguments, seed):
        self.world, self.environment, self.random = world, environment, random.Random(seed)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.line = [binary("tagboat"), "serve", "--listen", self.url.removeprefix("http://"), "--state", state, *arguments]
        self.kills, self.life, self.process, self.over = 0, LIFE, None, threading.Event()
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
            while not self.over.wait(self.random.uniform(0, self.life)):
                if self.process.poll() is not None:
                    raise RuntimeError(f"serve ended by itself, with {self.process.returncode}")
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                self.world.processes.running.remove(self.process)
                self.kills += 1
                self.life *= LONGER
                self.start()
        except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
            self.failure = failure

    def ask(self, method, path, body=None, headers=None):
        """The status and the decoded answer, asked for again until a process lives long enough to give it."""
        def answer():
            if self.failure:
                raise self.failure
            request = urllib.request.Request(self.url + path, method=method, data=body and body.encode(), headers=headers or {
                "Authorization": "Bearer " + self.environment["TAGBOAT_TOKEN"], "Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as refused:
                return None if refused.code == 503 else (refused.code, json.load(refused))
            except (OSError, ValueError, urllib.error.URLError, ConnectionError):
                return None
        return until(answer, 120, 0.02, what=path)


ENDS = ("succeeded", "failed_clean", "failed_dirty", "refused", "rejected", "expired", "superseded")


class Stream:
    """The releases of one app: tags are delivered, some at once, until each is acknowledged, and are watched to their ends.
    Of every so many, the second breaks at its smoke test. Whatever asks for an approval gets it."""

    def __init__(self, server, world, app, count):
        self.server, self.world, self.app, self.count = server, world, app, count
        self.versions, self.commits, self.seen, self.errors, self.failure = {}, {}, {}, {}, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def breaks(self, n):
        return bool(self.app.break_every) and n % self.app.break_every == 1

    def wanted(self):
        """The end that each version has to come to."""
        return {f"1.0.{n}": "failed_clean" if self.breaks(n) else "succeeded" for n in range(self.count)}

    def run(self):
        try:
            for first in range(0, self.count, self.app.at_once):
                self.release(range(first, min(first + self.app.at_once, self.count)))
        except Exception as failure:  # whatever it is, it is told by the test
            self.failure = failure

    def release(self, numbers):
        deliveries = [(f"1.0.{n}", self.tag(n)) for n in numbers]
        releases = [self.deliver(version, delivery) for version, delivery in deliveries]
        for release in releases:
            until(lambda release=release: self.look(release) in ENDS, 600, 0.1, what=release)

    def tag(self, n):
        tag = self.app.tag(f"1.0.{n}")
        files = self.app.files(f"1.0.{n}", "first", needs="NOWHERE" if self.breaks(n) else None)
        self.commits[f"1.0.{n}"] = self.world.github.tag(tag, files)
        return self.world.github.delivery("push", tag)

    def deliver(self, version, delivery):
        _, answer = self.server.ask("POST", "/webhooks/github", delivery["body"], delivery["headers"])
        [release] = answer["releases"]
        self.versions[release], self.seen[release] = version, set()
        return release

    def look(self, release):
        """The state of a release. All that have not ended are looked at, so that none waits unseen or unanswered."""
        for other in [r for r, states in self.seen.items() if not states.intersection(ENDS)]:
            status, view = self.server.ask("GET", "/releases/" + other)
            if status != 200:
                raise AssertionError(f"{other} was acknowledged and is answered with {status}: {view}")
            self.seen[other].add(view["state"])
            if view["state"] in ENDS:
                self.server.life = LIFE
                self.errors[self.versions[other]] = view.get("error", "")
            if view["state"] == "waiting_approval":
                self.approve(other)
        return next(iter(self.seen[release].intersection(ENDS)), None)

    def approve(self, release):
        status, answer = self.server.ask("POST", f"/releases/{release}/approve", json.dumps({"by": "bob"}))
        if status not in (200, 409):  # 409: it was taken before, and the process died with the answer
            raise AssertionError(f"approving {release} is answered with {status}: {answer}")

    def ends(self):
        """The end of each version."""
        return {version: next(iter(self.seen[release].intersection(ENDS)), None) for release, version in self.versions.items()}


def release_all(server, world, apps, count):
    """Releases count versions of each app, all apps side by side, and gives their streams."""
    began = time.monotonic()
    streams = [Stream(server, world, app, count) for app in apps]
    for stream in streams:
        stream.thread.join()
    print(f"endure: {count * len(apps)} releases through {server.kills} kills in {time.monotonic() - began:.0f} s", flush=True)
    for stream in streams:
        passed = collections.Counter(state for states in stream.seen.values() for state in states if state not in ENDS)
        print(f"endure: {stream.app.name}: {dict(collections.Counter(stream.ends().values()))}; seen on the way: {dict(passed)}", flush=True)
    return streams
