"""The surface of the mandible coloured by displacement: vertices, faces and displacements in, four views out."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from scipy import sparse

from mandseg.audit.figures import DIVERGING, LARGEST_MM
from mandseg.metrics.surfaces import Floats

EDGE_MM = 2.0  # margin around the surface
SMOOTHINGS = 4  # smoothing steps of the normals, only for the light
AMBIENT = 0.55  # share of the light that reaches every face
LIGHT = (-0.3, 0.5, 0.8)  # direction of the rest: from the upper left, in front; right, up, toward the viewer


class View(NamedTuple):
    """A view: the directions toward the viewer and up in RAS+ axes, and the letters at the left and right edge."""

    name: str
    toward: tuple[float, float, float]
    up: tuple[float, float, float]
    letters: str


VIEWS = (
    View("from the right", (1, 0, 0), (0, 0, 1), "PA"),
    View("from the front", (0, 1, 0), (0, 0, 1), "RL"),
    View("from the left", (-1, 0, 0), (0, 0, 1), "AP"),
    View("from below", (0, 0, -1), (0, 1, 0), "RL"),
)


def draw_surface(
    ax: Axes, vertices_mm: Floats, faces: npt.NDArray[np.integer], displacement_mm: Floats, view: View
) -> None:
    """Draw the faces that point to the viewer, the far ones first, in parallel projection and to scale.

    Args:
        ax: Axes to draw on.
        vertices_mm: (V, 3) on RAS+ axes.
        faces: (F, 3) indices of vertices.
        displacement_mm: (V,), positive outward; the colour scale ends at ``LARGEST_MM``.
        view: The view.
    """
    seen = vertices_mm @ _axes_of(view).T  # (V, 3): right, up, toward the viewer
    corners = seen[faces]  # (F, 3, 3)
    normals = _vertex_normals(seen, faces)[faces].mean(axis=1)
    front = _face_normals(corners)[:, 2] * _winding(vertices_mm, faces) > 0
    order = np.flatnonzero(front)[np.argsort(corners[front, :, 2].mean(axis=1))]
    light = np.clip(normals[order] @ (np.array(LIGHT) / np.linalg.norm(LIGHT)), 0, 1)
    norm = Normalize(-LARGEST_MM, LARGEST_MM)
    colours = mpl.colormaps[DIVERGING](norm(displacement_mm[faces[order]].mean(axis=1)))
    colours[:, :3] *= (AMBIENT + (1 - AMBIENT) * light)[:, None]
    shown = PolyCollection(list(corners[order, :, :2]), facecolors=colours, edgecolors=colours, linewidths=0.3)
    ax.add_collection(shown)
    ax.set(aspect="equal", xlim=_ends(seen[:, 0]), ylim=_ends(seen[:, 1]))
    ax.set_axis_off()


def extent_mm(vertices_mm: Floats, view: View) -> tuple[float, float]:
    """Width and height of a surface in a view, with margins."""
    across, up, _ = _axes_of(view) @ vertices_mm.T
    return float(np.ptp(_ends(across))), float(np.ptp(_ends(up)))


def _axes_of(view: View) -> Floats:
    """Directions right, up and toward the viewer as rows in RAS+ axes; (3, 3)."""
    toward, up = np.array(view.toward, float), np.array(view.up, float)
    return np.stack([np.cross(up, toward), up, toward])


def _ends(positions_mm: Floats) -> tuple[float, float]:
    return float(positions_mm.min()) - EDGE_MM, float(positions_mm.max()) + EDGE_MM


def _face_normals(corners: Floats) -> Floats:
    """Normals with a length of twice the area of the face, signed by its winding; (F, 3, 3) -> (F, 3)."""
    return np.asarray(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))


def _vertex_normals(vertices_mm: Floats, faces: npt.NDArray[np.integer]) -> Floats:
    """Outward unit normals, averaged over neighbouring faces and vertices, which smooths the steps of the voxels."""
    n = len(vertices_mm)
    normals = _face_normals(vertices_mm[faces]) * _winding(vertices_mm, faces)
    corners = sparse.csr_matrix(
        (np.ones(faces.size), (faces.ravel(), np.repeat(np.arange(len(faces)), 3))), (n, len(faces))
    )
    summed = np.asarray(corners @ normals)
    for _ in range(SMOOTHINGS):
        summed = np.asarray(corners @ (corners.T @ summed))
        summed /= np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
    return np.asarray(summed)


def _winding(vertices_mm: Floats, faces: npt.NDArray[np.integer]) -> float:
    """1 if the corners of faces are anticlockwise seen from outside, otherwise -1: the sign of the enclosed volume."""
    a, b, c = (vertices_mm[faces[:, k]] - vertices_mm.mean(axis=0) for k in range(3))
    return 1.0 if np.einsum("ij,ij->", a, np.cross(b, c)) >= 0 else -1.0
