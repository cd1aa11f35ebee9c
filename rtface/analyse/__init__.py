"""What neural activity says of behaviour: simulated populations, clusters, states, forecasts, reports."""
