"""Networks, training and export; needs torch, and the live path never imports it."""
