"""What every room shares: records, errors, time, geometry, budgets, files. Imports nothing of the rest of rtface."""
