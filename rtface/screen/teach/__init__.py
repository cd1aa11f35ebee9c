"""The page on which labels become an engine: guided ways of the workspace, their trainings as jobs, and what came of them."""
