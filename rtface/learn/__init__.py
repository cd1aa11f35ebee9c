"""From labels to networks.

Without torch: `labels`, and of `engines` what measures an engine (`accuracy`, `provenance`). All else needs torch.
"""
