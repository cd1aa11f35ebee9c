"""What is made once and kept: engines, the demo's encoder, golden files of the tests, the README's picture."""
