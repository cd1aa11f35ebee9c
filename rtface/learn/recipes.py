"""Named sets of training options: the one place where they are, with what each is for."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.core.errors import UsageError
from rtface.learn.tracker.optimise import Recipe
from rtface.learn.tracker.samples import Augmentation


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """What a training is for, and its options; each can be changed on the command line.

    Attributes
    ----------
    purpose : str
        In words.
    family : str
        Of the network; one of `rtface.learn.tracker.families.FAMILIES`.
    simulated : int
        Simulated mice to train on besides.
    share : float
        What is held out: of the frames, or of the recordings.
    whole_recordings : bool
        Whether whole recordings are held out, as is right where there are many.
    recipe : Recipe
    """

    purpose: str
    family: str
    simulated: int
    share: float
    whole_recordings: bool
    recipe: Recipe


RECIPES: dict[str, NamedRecipe] = {
    "rig": NamedRecipe(
        purpose="hundreds of frames of one rig",
        family="small",
        simulated=800,
        share=0.15,
        whole_recordings=False,
        recipe=Recipe(),
    ),
    "general": NamedRecipe(
        purpose="thousands of frames of many rigs, for a network that a new lab adapts",
        family="small",
        simulated=1600,
        share=0.1,
        whole_recordings=True,
        recipe=Recipe(
            steps=20_000,
            batch=32,
            averaging=0.999,
            other_shape=0.3,
            augmentation=Augmentation(
                rotation_deg=25.0,
                zoom=1.6,
                shift=0.15,
                stretch=1.15,
                flip=0.5,
                contrast=0.45,
                gamma=2.0,
                blur=0.35,
                noise=0.08,
                occlusion=0.35,
            ),
        ),
    ),
}
"""Name to options. What of ``general`` serves how much is not measured: no public set can be fetched where rtface is made."""


def named_recipe(name: str) -> NamedRecipe:
    """Return a recipe; `UsageError` where there is none of that name."""
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
