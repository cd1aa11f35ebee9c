"""Neural encoders fitted to recordings, scored and written as bundles. Needs torch where it trains and exports."""
