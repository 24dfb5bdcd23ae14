"""Other people's drivers: one list of checks, a script for each driver, run direct and through the proxy."""
