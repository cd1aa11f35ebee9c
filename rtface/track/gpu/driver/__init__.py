"""NVIDIA's driver, as rtface uses it: declared, called, and given its commands with pycuda or without."""
