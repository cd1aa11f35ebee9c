"""What several tests share: fakes, small inputs, runs of the loop, and where things lie in the repository."""
