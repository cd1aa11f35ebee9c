"""From trained or foreign weights to engines, engines in other precisions, and how accurate an engine is on labels.

`accuracy` and `provenance` need no torch, `halve` and `quantise` need onnx; all else needs torch.
"""
