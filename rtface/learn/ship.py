"""Make the shipped engine: ``python -m rtface.learn.ship --data FOLDER --out engines/face-1``.

Three trainings of one recipe: on each of the two videos, judged on the other, and on all frames. The first two give
the stated errors and the calibration of the score; the third gives the weights.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rtface.bench.machine import run_facts
from rtface.learn.evaluate import (
    Answers,
    answer,
    calibrated,
    error_summary,
    fit_calibration,
    reliability,
)
from rtface.learn.export import columns, export_onnx
from rtface.learn.labels import LabelledFrame, read_side_view
from rtface.learn.samples import CACHE_SIZE, Picture, prepare, simulated_pictures
from rtface.learn.train import Recipe, train, write_run
from rtface.networks.build import EXAMPLE_SMALL, build_network
from rtface.networks.fold import fold_batch_norm
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.small import SmallDecode, SmallNetwork
from rtface.records import FACEMAP_KEYPOINTS
from rtface.track.manifest import (
    MODEL_FILE,
    WEIGHTS_FILE,
    DecodeSpec,
    InputSpec,
    KeypointEntry,
    ResampleSpec,
    ScoreSpec,
)
from rtface.track.store import write_engine
