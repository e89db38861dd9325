"""One cluster, one working folder and one small cohort for all tests of this folder."""

import pytest
from bench import SMALL, Bench, small_case
from cluster import Cluster, missing, running_cluster

from mandseg.data.manifest import Cohort, write_cohort


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    if absent := missing():
        pytest.skip(f"needs {' and '.join(absent)}: make test-slurm installs them where apt-get may")
    with running_cluster(tmp_path_factory.mktemp("slurm") / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Four training cases with a noisy label, one to validate on, two to test on; 24 voxels a side."""
    root = tmp_path_factory.mktemp("cohort")
    splits = {"t0": "train", "t1": "train", "t2": "train", "t3": "train", "v": "val", "x": "test", "y": "test"}
    return write_cohort(root, [small_case(root, k, name, split) for k, (name, split) in enumerate(splits.items())])


@pytest.fixture(scope="session")
def bench(cluster: Cluster, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A working folder with a cache that is filled once."""
    folder = tmp_path_factory.mktemp("bench")
    words = [*SMALL, f"data.manifest={cohort.root}/manifest.csv", f"cache_dir={folder}/cache"]
    return Bench(cluster, folder, words)


@pytest.fixture(autouse=True)
def empty_queue(cluster: Cluster):
    """Leave no job of one test to the next."""
    yield
    cluster.cancel_all()
