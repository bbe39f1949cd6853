"""The recipes of Stable Diffusion's size at a width for tests: real parts, 8 to 32 channels."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from diffir.host.manager import default_host
from diffir.recipes.recipe import parse_recipe
from diffir.restore.assemble import assemble

if TYPE_CHECKING:
    from diffir.diffusion.model import RestorationModel
    from diffir.recipes.recipe import Recipe

NATIVE, OFFICIAL = "moe-diffir-sd21", "moe-diffir-sd21-official"

SMALLER = (
    ("widths = [128, 256, 512, 512]", "widths = [8, 16, 24, 24]\ngroups = 4"),
    ("widths = [320, 640, 1280, 1280]", "widths = [16, 24, 32, 32]\ngroups = 4\nhidden = 8"),
    ("head_width = 64", "head_width = 8"),
    ("prompt_width = 256", "prompt_width = 16"),
    ("context_width = 1024", "context_width = 24"),
    ('mode = "', 'field = 4\nmode = "'),
    ("\nwidth = 256\nlevels = 4", "\nwidth = 16\nlevels = 4"),
    ("heads = 4", "heads = 2"),
    (
        'tower = "vit_base_patch32_clip_224"',
        'tower = "vit_base_patch32_clip_224"\n'
        "tower_options = { embed_dim = 12, depth = 1, num_heads = 2 }",
    ),
    (
        "\nwidth = 1024\nlearned = 49",
        "\nwidth = 24\nlearned = 49\ntower_options = { width_factor = 0.125 }",
    ),
    ("\nwidth = 256\nblocks = 4", "\nwidth = 8\nblocks = 2"),
    ("growth = 32", "growth = 4"),
    ("steps = 200", "steps = 2"),
)


def small_recipe(name: str = NATIVE, *changes: tuple[str, str]) -> Recipe:
    """The recipe `name`, made small, with `changes` to its text after that."""
    text = files("diffir.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    for old, new in (*SMALLER, *changes):
        assert old in text, old
        text = text.replace(old, new)
    return parse_recipe(text, origin=name)


def small_model(recipe: Recipe) -> RestorationModel:
    """A model of it, always with the same weights, in evaluation mode; gates and tokens show."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = assemble(recipe, default_host())
        for name, parameter in model.named_parameters():
            if name.endswith(("gate.weight", "learned")):
                torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()
