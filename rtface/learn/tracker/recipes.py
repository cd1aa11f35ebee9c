"""Named sets of training options: the one place where they are, with what each is for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtface.core.errors import UsageError
from rtface.learn.labels.labelset import LabelSet
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


def recordings_apart(labels: LabelSet, share: float, seed: int) -> tuple[str, ...]:
    """Return recordings to hold out whole, drawn at random until they have a share of the frames.

    Parameters
    ----------
    labels : LabelSet
    share : float
        Of the frames, 0 to 1; at least one recording where it is above 0, and one at least is left to train on.
    seed : int
        Of the drawing.

    Returns
    -------
    tuple of str
        Their names, sorted; none where there is one recording alone.
    """
    videos = labels.videos
    if share <= 0 or len(videos) < 2:
        return ()
    counts = dict.fromkeys(videos, 0)
    for frame in labels.frames:
        counts[frame.video] += 1
    chosen: list[str] = []
    for place in np.random.default_rng(seed).permutation(len(videos))[:-1]:
        if chosen and sum(counts[name] for name in chosen) >= share * len(labels):
            break
        chosen.append(videos[place])
    return tuple(sorted(chosen))
