"""From trained or foreign weights to engines, engines in other precisions, and how accurate an engine is on labels."""
