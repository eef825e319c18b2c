"""Debian's Chromium for tests, driven by selenium, and a server on loopback for the pages that it opens."""

import importlib.util
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PATIENCE_S = 60  # for a page to load or a script to answer, on a machine that is busy with something else
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # as root in a container there is no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def missing() -> str | None:
    """What is not installed, in a sentence; None where all is there."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"no {program} here; on Debian: apt install chromium chromium-driver"
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed"
    return None


@contextmanager
def chromium(profile: Path) -> Iterator["Chrome"]:
    """A browser with an empty profile; its driver is given by its path, so that none is looked for or downloaded."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(PATIENCE_S)
        driver.set_script_timeout(PATIENCE_S)
        yield driver
    finally:
        driver.quit()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files as they are now and says nothing; a name without an ending is a page, as on a project's host."""

    extensions_map: ClassVar[dict[str, str]] = {**SimpleHTTPRequestHandler.extensions_map, "": "text/html"}

    def end_headers(self) -> None:
        """Keeps the browser from showing a page that has been written anew since."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on a free port of loopback, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def sized(driver: "Chrome", width: int, height: int = 900) -> None:
    """Gives pages a screen of that many pixels; a window of Chromium cannot be narrower than 500."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def requested(driver: "Chrome") -> list[str]:
    """Every address asked for since the last call but data within the page and the browser's own start page."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    return [address for address in asked if not address.startswith(("data:", "blob:", "chrome:"))]


def complaints(driver: "Chrome") -> list[str]:
    """What the console said since the last call that is more than information."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in {"WARNING", "SEVERE"}]
