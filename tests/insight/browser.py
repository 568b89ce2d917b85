"""Pages opened in headless Chromium, where that is installed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
_QUIET = ("gpu", "quic", "background-networking", "component-update", "sync")
_FLAGS = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in _QUIET)]
_FLAGS += ["--window-size=1400,1000", "--virtual-time-budget=30000", "--dump-dom"]
_FLAGS += ["--enable-logging=stderr", "--log-level=0"]  # with what pages write to the console
# Runs the steps one after the other when the page is drawn, and leaves what they returned where the DOM is printed.
_STEPS = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
const $ = (what) => document.querySelector(what);
const all = (what) => [...document.querySelectorAll(what)];
const later = () => new Promise((done) => setTimeout(done, 30));
const go = async (hash) => {{ location.hash = hash; await later(); }};
const write = async (what, words) => {{
  $(what).value = words;
  $(what).dispatchEvent(new Event("input"));
  await later();
}};
const press = (what, key) => $(what).dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true }}));
(async () => {{
  while (!document.body.dataset.ready && !errors.length) await later();
  let said;
  try {{ said = await (async () => {{ {steps} }})(); }} catch (error) {{ errors.push(String(error)); }}
  const made = document.createElement("pre");
  made.id = "said";
  made.textContent = JSON.stringify({{ said, errors }});
  document.body.append(made);
}})();
</script>"""


def said_by(page: Path, steps: str, folder: Path) -> Any:
    """What `steps`, the body of an async function, returns in the page; no error may have been raised or logged."""
    probed = folder / f"probed-{page.name}"
    probed.write_text(page.read_text().replace("</body>", _STEPS.format(steps=steps) + "</body>"))
    assert CHROMIUM is not None
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}", probed.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.S)
    assert found is not None, done.stderr[-2000:]
    result = json.loads(html.unescape(found[1]))
    assert result["errors"] == []
    return result["said"]
