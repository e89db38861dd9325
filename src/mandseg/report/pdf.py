"""Print index.html as report.pdf with an installed Chromium."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
QUIET = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--no-default-browser-check"),
)
LONGEST_S = 180


def browser() -> str | None:
    """Path of an installed Chromium; None if there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def print_page(page: Path, file: Path) -> str | None:
    """Print a page as PDF with an empty profile and no network.

    Returns:
        None on success, otherwise one line with the reason and a way to get a PDF.
    """
    program = browser()
    advice = f"open {page.name} in a browser and print it to a file"
    if program is None:
        return f"no {file.name}: no Chromium on this machine; {advice}"
    rights = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # Chromium's, for root
    with tempfile.TemporaryDirectory(prefix="mandseg-print-", ignore_cleanup_errors=True) as profile:
        command = [program, *QUIET, *rights, f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        command += [f"--print-to-pdf={file}", "--no-pdf-header-footer", page.resolve().as_uri()]
        try:
            subprocess.run(command, capture_output=True, timeout=LONGEST_S, check=True)
        except (subprocess.SubprocessError, OSError) as error:
            return f"no {file.name}: {Path(program).name} failed ({type(error).__name__}); {advice}"
    return None if file.exists() else f"no {file.name}: {Path(program).name} wrote none; {advice}"
