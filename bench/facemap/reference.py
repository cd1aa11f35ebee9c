"""Keypoints of a video by Facemap itself, at batch size 1: the reference that rtface is compared with.

Run by the Python of an environment that has Facemap installed (pip install facemap matplotlib) and not rtface;
`bench.facemap.peer` starts it. It calls Facemap's public class only. Facemap looks for its weights in the
home directory and downloads them where they are absent, so the caller sets HOME to a folder that has them.
"""

import argparse
import importlib.metadata
import json
import zlib

import cv2
import numpy as np
import torch
from facemap.pose.pose import Pose


def frame_checks(video: str) -> list[int]:
    """Return the CRC-32 of each gray frame as OpenCV reads it, to show that both sides saw the same pixels."""
    capture = cv2.VideoCapture(video)
    checks: list[int] = []
    while True:
        there, frame = capture.read()
        if not there:
            return checks
        checks.append(zlib.crc32(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).tobytes()))


def main() -> None:
    """Predict one video's keypoints and write them with what they were made with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("out", help="npz file to write")
    parser.add_argument("--bbox", type=int, nargs=4, metavar=("Y1", "Y2", "X1", "X2"))
    options = parser.parse_args()

    given = options.bbox is not None
    pose = Pose(
        filenames=[[options.video]],
        bbox=[options.bbox] if given else [],
        bbox_set=given,
        resize=given,
        add_padding=given,
    )
    pose.pose_prediction_setup()
    keypoints, metadata = pose.predict_landmarks(0)
    versions = {name: importlib.metadata.version(name) for name in ("facemap", "torch", "numpy")}
    versions["opencv"] = cv2.__version__
    np.savez(
        options.out,
        keypoints=keypoints.numpy().astype(np.float32),
        frames_crc32=np.array(frame_checks(options.video), np.uint32),
        facts=json.dumps(
            {
                "versions": versions,
                "batch_size": metadata["batch_size"],
                "bodyparts": list(metadata["bodyparts"]),
                "device": str(pose.device),
                "threads": torch.get_num_threads(),
                "frames_per_second": float(metadata["inference_speed"]),
            }
        ),
    )


if __name__ == "__main__":
    main()
