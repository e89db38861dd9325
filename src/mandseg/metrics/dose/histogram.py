"""The dose-volume histogram of a structure, from the dose at the centre of each of its voxels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.float64]

TIE_GY = 1e-4  # interpolation makes 43.99999 Gy of an even dose of 44 Gy, which is 44 Gy or more


@dataclass(frozen=True, eq=False)
class Histogram:
    """The doses of a structure. Each voxel has the same volume and one dose.

    Args:
        gray: The dose of each voxel, (N,), Gy, finite, in any order; empty for an empty structure.
        voxel_ml: The volume of a voxel, in ml, which is cc.
    """

    gray: Gray
    voxel_ml: float

    @property
    def volume_ml(self) -> float:
        """The volume of the structure, in ml."""
        return len(self.gray) * self.voxel_ml

    @property
    def mean_gy(self) -> float:
        """The mean dose, in Gy; 0 for an empty structure."""
        return float(self.gray.mean()) if len(self.gray) else 0.0

    def hottest_gy(self, volume_ml: float) -> float:
        """The lowest dose in the hottest part of a volume: D0.1cc for 0.1 ml.

        The voxels are sorted by dose. Voxel k, counted from the hottest one as 0, has its dose at the volume of the
        k hotter voxels and half of itself; between two such volumes the dose is interpolated linearly. So a volume that
        is no whole number of voxels has a dose, too.

        Args:
            volume_ml: The volume, in ml.

        Returns:
            Gy; 0 for an empty structure. In the hottest half voxel: the maximum. For a structure smaller than the
            volume there is no such part; then the maximum is given, as well.
        """
        if not len(self.gray):
            return 0.0
        if self.volume_ml < volume_ml:
            return float(self.gray.max())
        sorted_gy = np.sort(self.gray)[::-1]
        volumes = (np.arange(len(sorted_gy)) + 0.5) * self.voxel_ml
        return float(np.interp(volume_ml, volumes, sorted_gy))

    def share_percent(self, gray: float) -> float:
        """The share of the volume with a dose or more, in percent: V44 for 44 Gy; 0 for an empty structure."""
        return 100.0 * float(np.count_nonzero(self.gray >= gray - TIE_GY)) / len(self.gray) if len(self.gray) else 0.0
