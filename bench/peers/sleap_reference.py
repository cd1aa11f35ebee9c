"""sleap-nn's single-instance UNet, trained, used and timed by sleap-nn itself.

Run by the Python of an environment that has sleap-nn installed and not rtface (`.ci/sleap-environment` makes one);
`bench.peers.sleap` starts it. It calls sleap-nn's public functions only.

    python sleap_reference.py train FRAMES.npz FOLDER --epochs N
    python sleap_reference.py speed FRAMES.npz FOLDER OUT.json --count N

FRAMES.npz holds images (N, H, W) uint8, xy (N, K, 2) camera pixels with NaN where there is no label, keypoints (K,)
and held_out (N,) bool. FOLDER gets the labels as .slp, the model and found.npz: xy (M, K, 2) of the held-out frames.
"""

import argparse
import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import sleap_io
import torch

SCALE = 0.5
SIGMA = 5.0
OUTPUT_STRIDE = 4
UNET = {
    "in_channels": 1,
    "filters": 16,
    "filters_rate": 1.5,
    "max_stride": 32,
    "output_stride": OUTPUT_STRIDE,
}
BATCH = 4
LEARNING_RATE = 1e-3
RUN = "unet"


def without_torchvision_extension() -> Any:
    """Declare the two operators that torchvision misses when its CUDA build meets a torch without CUDA."""
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def write_labels(frames: dict[str, np.ndarray], chosen: np.ndarray, folder: Path, name: str) -> Path:
    """Write the chosen frames as images and their labels as a .slp file."""
    pictures = folder / f"frames-{name}"
    pictures.mkdir(parents=True, exist_ok=True)
    paths = [str(pictures / f"{index:04d}.png") for index in chosen]
    for path, index in zip(paths, chosen, strict=True):
        cv2.imwrite(path, frames["images"][index])
    video = sleap_io.Video.from_filename(paths, grayscale=True)
    skeleton = sleap_io.Skeleton([str(name) for name in frames["keypoints"]])
    labelled = [
        sleap_io.LabeledFrame(video, place, [sleap_io.Instance.from_numpy(frames["xy"][index], skeleton)])
        for place, index in enumerate(chosen)
    ]
    out = folder / f"{name}.slp"
    sleap_io.save_file(sleap_io.Labels(labelled, [video], [skeleton]), str(out))
    return out


def train(frames: dict[str, np.ndarray], folder: Path, epochs: int) -> None:
    """Train on the frames that are not held out and keep what is found on the others."""
    from sleap_nn.train import train as train_sleap

    labels = write_labels(frames, np.flatnonzero(~frames["held_out"]), folder, "train")
    settings = {
        "validation_fraction": 0.1,
        "scale": SCALE,
        "backbone_config": {"unet": UNET},
        "head_configs": {
            "single_instance": {
                "confmaps": {
                    "part_names": [str(name) for name in frames["keypoints"]],
                    "sigma": SIGMA,
                    "output_stride": OUTPUT_STRIDE,
                }
            }
        },
        "geometry_aug": ["rotation", "scale"],
        "batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
        "max_epochs": epochs,
        "min_train_steps_per_epoch": 1,
        "lr_scheduler": {"step_lr": {"step_size": max(1, round(epochs * 2 / 3)), "gamma": 0.1}},
        "early_stopping": True,
        "early_stopping_patience": 10,
        "seed": 0,
    }
    began = time.perf_counter()
    train_sleap(
        train_labels_path=[str(labels)],
        data_pipeline_fw="torch_dataset_cache_img_memory",
        trainer_accelerator="cpu",
        trainer_num_devices=1,
        enable_progress_bar=False,
        save_ckpt=True,
        ckpt_dir=str(folder),
        run_name=RUN,
        **settings,
    )
    minutes = (time.perf_counter() - began) / 60
    layer = load(folder)
    xy = np.stack([look(layer, image) for image in frames["images"][frames["held_out"]]])
    checkpoint = torch.load(folder / RUN / "best.ckpt", map_location="cpu", weights_only=False)
    facts = {
        "versions": versions(),
        "settings": settings,
        "minutes": round(minutes, 1),
        "threads": torch.get_num_threads(),
        "best_epoch": int(checkpoint["epoch"]) + 1,
    }
    np.savez(folder / "found.npz", xy=xy, facts=json.dumps(facts))


def load(folder: Path) -> Any:
    """Return the trained model as sleap-nn's predictor uses it; it answers for every keypoint, however unsure."""
    from sleap_nn.inference.predictor import Predictor

    predictor = Predictor.from_model_paths(
        [str(folder / RUN)], device="cpu", batch_size=1, peak_threshold=0.0, integral_refinement="integral"
    )
    return predictor.layer


def look(layer: Any, image: np.ndarray) -> np.ndarray:
    """Return one frame's keypoints, shape (K, 2), in its pixels."""
    found = layer.predict(torch.from_numpy(image)[None, None])
    return np.asarray(found.pred_keypoints[0, 0].numpy(), np.float32)


def speed(frames: dict[str, np.ndarray], folder: Path, out: Path, count: int, threads: int) -> None:
    """Time frame to keypoints and the network alone, in milliseconds."""
    torch.set_num_threads(threads)
    layer = load(folder)
    images = frames["images"][frames["held_out"]]
    prepared: list[torch.Tensor] = []
    layer.backend.model.register_forward_pre_hook(lambda _, inputs: prepared.append(inputs[0]))
    for image in images[:20]:
        look(layer, image)
    whole, network = [], []
    for number in range(count):
        image = images[number % len(images)]
        began = time.perf_counter_ns()
        look(layer, image)
        whole.append(time.perf_counter_ns() - began)
        sample, prepared[:] = prepared[-1].clone(), []
        began = time.perf_counter_ns()
        with torch.inference_mode():
            layer.backend.model(sample)
        network.append(time.perf_counter_ns() - began)
    result = {
        "frame_to_keypoints_ms": [each / 1e6 for each in whole],
        "network_ms": [each / 1e6 for each in network],
        "facts": {"versions": versions(), "threads": torch.get_num_threads(), "input": list(sample.shape)},
    }
    out.write_text(json.dumps(result), encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    return {
        name: importlib.metadata.version(name) for name in ("sleap-nn", "sleap-io", "torch", "torchvision")
    }


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("train", "speed"):
        each = verbs.add_parser(verb)
        each.add_argument("frames", type=Path)
        each.add_argument("folder", type=Path)
        each.add_argument("--threads", type=int, default=os.cpu_count())
        if verb == "train":
            each.add_argument("--epochs", type=int, required=True)
        else:
            each.add_argument("out", type=Path)
            each.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    kept = without_torchvision_extension()
    torch.set_num_threads(options.threads)
    with np.load(options.frames, allow_pickle=False) as file:
        frames = {name: file[name] for name in file.files}
    if options.verb == "train":
        train(frames, options.folder, options.epochs)
    else:
        speed(frames, options.folder, options.out, options.count, options.threads)
    del kept


if __name__ == "__main__":
    main()
