"""The folders of the real data; their tests are skipped without them."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of MANDSEG_REAL_DATA, by default ../shared/data beside the repository."""
    folder = (REPOSITORY / os.environ.get("MANDSEG_REAL_DATA", "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set MANDSEG_REAL_DATA to the folder that holds openkbp/ etc.")
    return folder
