"""When exposures happen: the camera's clock, triggers, and the rate that comes of them."""
