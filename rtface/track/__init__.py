"""From a frame to keypoints: engines, their back ends, the tracker, and the proof of parity.

Only `torch_graph` and the back ends that torch runs need torch.
"""
