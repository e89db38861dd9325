"""The scanner: couch, mask, metal streaks, reconstruction kernel, noise, and the stored int16 values."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.phantom.canvas import Canvas
from mandseg.data.phantom.population import Population
from mandseg.data.phantom.solids import Field, Point
from mandseg.data.phantom.subject import Subject
from mandseg.data.volume import LOWEST_HU, rounded_hu

STREAK_REACH_MM = 45.0
METAL_HALF_HEIGHT_MM = 5.0


def lay_on_couch(canvas: Canvas, skin_distance: Field) -> None:
    """A carbon-fibre couch with foam inside, and a head rest; aligned with the room, not with the head."""
    touching = np.flatnonzero((skin_distance < 0).any(axis=(0, 2)))
    top_y = float(touching[0] * canvas.spacing_mm[1]) - 11.0 if touching.size else 30.0
    y = (np.arange(canvas.hu.shape[1]) * canvas.spacing_mm[1]).astype(np.float32)[None, :, None]
    x = (np.arange(canvas.hu.shape[0]) * canvas.spacing_mm[0]).astype(np.float32)[:, None, None]
    shell = np.abs(np.abs(y - (top_y - 12.0)) - 10.0) - 1.0  # two plates, 20 mm apart
    foam = np.abs(y - (top_y - 12.0)) - 9.0
    middle = float(x.mean())
    rest = np.maximum(np.abs(y - (top_y + 5.0)) - 6.0, np.abs(x - middle) - 70.0)
    air = np.clip(0.5 + skin_distance / float(canvas.spacing_mm.mean()), 0.0, 1.0)
    for distance, hu in ((foam, -940.0), (rest, -920.0), (shell, -260.0)):
        canvas.hu += air * canvas.coverage(distance) * (hu - canvas.hu)


def put_on_mask(canvas: Canvas, skin_distance: Field) -> None:
    """A perforated thermoplastic mask, 2 mm thick, over the front of the head and shoulders."""
    sheet = canvas.coverage(np.abs(skin_distance - 2.4) - 1.1) * (canvas.y > -30.0)
    holes = np.clip(0.8 + 0.5 * canvas.texture, 0.0, 1.0)
    canvas.hu += 0.8 * sheet * holes * (-60.0 - canvas.hu)


def streak(canvas: Canvas, metal: list[Point], rng: np.random.Generator) -> None:
    """Fans of bright and dark rays from each metal crown, and dark bands between crowns of one slice."""
    if not metal:
        return
    shape, (dx, dy, dz) = canvas.hu.shape, canvas.spacing_mm
    centres = [canvas.voxel_of(point) for point in metal]
    x = (np.arange(shape[0]) * dx).astype(np.float32)[:, None]
    y = (np.arange(shape[1]) * dy).astype(np.float32)[None, :]
    fans = [_fan(x - float(c[0] * dx), y - float(c[1] * dy), rng) for c in centres]
    for k in range(shape[2]):
        strength = [float(np.exp(-(((k - c[2]) * dz / METAL_HALF_HEIGHT_MM) ** 4))) for c in centres]
        hit = [i for i, s in enumerate(strength) if s > 0.02]
        if hit:
            error = _dark_bands(x, y, [centres[i] * (dx, dy, dz) for i in hit])
            for i in hit:
                error += strength[i] * float(rng.uniform(0.75, 1.25)) * fans[i]
            in_body = np.clip((canvas.hu[:, :, k] + 1000.0) / 900.0, 0.15, 1.0)
            canvas.hu[:, :, k] += error * in_body


def _fan(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Rays of one crown in its slice: random in angle and point-symmetrical, as in a scan over 360 degrees."""
    n = 180
    rays = ndimage.gaussian_filter1d(rng.standard_normal(n), 2.0, mode="wrap")
    rays += 0.6 * ndimage.gaussian_filter1d(rng.standard_normal(n), 0.9, mode="wrap")
    rays = np.append(rays, rays[0]) / rays.std()
    radius = np.hypot(x, y)
    angle = np.mod(np.arctan2(y, x), np.pi) * (n / np.pi)
    ray = np.interp(angle.ravel(), np.arange(n + 1), rays).reshape(radius.shape)
    fade = np.exp(-radius / STREAK_REACH_MM) * np.clip(radius / 4.0, 0.0, 1.0)
    return np.asarray(rng.uniform(250, 520) * ray * fade, np.float32)


def _dark_bands(x: Field, y: Field, centres: list[npt.NDArray[np.float64]]) -> Field:
    """Beam hardening: a dark band along the line between any two crowns."""
    band = np.zeros((x.shape[0], y.shape[1]), np.float32)
    for i, a in enumerate(centres):
        for b in centres[i + 1 :]:
            along, across = float(b[0] - a[0]), float(b[1] - a[1])
            length = max(float(np.hypot(along, across)), 1.0)
            share = ((x - float(a[0])) * along + (y - float(a[1])) * across) / length**2
            offset = ((x - float(a[0])) * across - (y - float(a[1])) * along) / length
            inside = np.clip(8.0 * np.minimum(share, 1.0 - share), 0.0, 1.0)
            band -= 350.0 * inside * np.exp(-((offset / 4.0) ** 2))
    return band


def reconstruct(
    canvas: Canvas, population: Population, subject: Subject, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Blur by the kernel, sharpen edges, add correlated noise, round, and clip to the range of stored CT values."""
    dx, dy, _ = canvas.spacing_mm
    sigma = (population.kernel_sigma_mm / dx, population.kernel_sigma_mm / dy, 0.0)
    hu = ndimage.gaussian_filter(canvas.hu, sigma, truncate=3)
    if population.edge_gain:
        wider = ndimage.gaussian_filter(hu, (1.6 / dx, 1.6 / dy, 0.0), truncate=3)
        hu += population.edge_gain * (hu - wider)
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(
        white, (population.noise_grain_mm / dx, population.noise_grain_mm / dy, 0), truncate=3
    )
    hu += noise * (subject.noise_hu / float(noise.std()))
    return rounded_hu(hu, LOWEST_HU)
