"""Pages in Chromium, by way of Playwright in Node (chromium.mjs)."""

import itertools
import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).with_name("chromium.mjs")


class Chromium:
    def __init__(self):
        self.numbers = itertools.count(1)
        self.process = subprocess.Popen(
            ["node", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def open(self, url):
        page = Page(self, next(self.numbers))
        page.goto(url)
        return page

    def ask(self, number, call):
        self.process.stdin.write(json.dumps({"page": number, "call": call}) + "\n")
        line = self.process.stdout.readline()
        assert line, "Chromium has ended"
        answer = json.loads(line)
        assert "error" not in answer, (call, answer["error"])
        return answer.get("value")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Page:
    """Every method is that of Playwright's page, and `allTextContents` and `allMistakes`."""

    def __init__(self, chromium, number):
        self._chromium, self._number = chromium, number

    def __getattr__(self, method):
        return lambda *args: self._chromium.ask(self._number, [method, *args])
