"""What to run: scenarios, variants, and the TOML files that describe them. Imports no framework."""
