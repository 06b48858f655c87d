"""Bright colors for Brax's models, which are brown on a black and white floor, and too dark to tell limbs apart."""

from typing import Any

import numpy as np

BROWN = ((0.4, 0.33, 0.26), (0.8, 0.6, 0.4))
BODY, GOAL = (0.87, 0.51, 0.22, 1.0), (0.26, 0.62, 0.38, 1.0)
DARK_TILE, LIGHT_TILE, SKY = (205, 213, 220), (232, 236, 239), (214, 228, 238)
GOAL_NAMES = ("target", "goal")
TEXTURE_2D, TEXTURE_SKYBOX, GEOM_PLANE = 0, 2, 0  # of mujoco.mjtTexture and mujoco.mjtGeom


def recolor(model: Any) -> None:
    """Recolors the bodies, goals, lights, floor and sky of an `MjModel` in place."""
    headlight = model.vis.headlight
    headlight.ambient[:], headlight.diffuse[:], headlight.specular[:] = 0.4, 0.35, 0.1
    model.light_diffuse[:], model.light_specular[:] = 0.45, 0.1
    model.light_castshadow[:] = False  # they would end where the light's view ends
    model.mat_reflectance[:] *= 0.4
    model.mat_specular[:] *= 0.2
    brown = np.isclose(model.geom_rgba[:, None, :3], np.array(BROWN), atol=1e-3).all(-1).any(-1)
    bodies = brown & (model.geom_type != GEOM_PLANE)
    model.geom_rgba[bodies], model.geom_matid[bodies] = BODY, -1
    model.geom_rgba[[model.geom(i).name in GOAL_NAMES for i in range(model.ngeom)]] = GOAL
    _recolor_textures(model)


def _recolor_textures(model: Any) -> None:
    for texture, address in enumerate(model.tex_adr):
        pixels = int(model.tex_width[texture]) * int(model.tex_height[texture])
        data = model.tex_data[address : address + 3 * pixels].reshape(-1, 3)  # a view
        if model.tex_type[texture] == TEXTURE_SKYBOX:
            data[:] = SKY
        elif model.tex_type[texture] == TEXTURE_2D:
            data[:] = np.where(data.mean(axis=1, keepdims=True) > 100, LIGHT_TILE, DARK_TILE)
            model.geom_rgba[model.geom_type == GEOM_PLANE] = 1
