"""Fixed severities beside the packages that published them, which run in an environment of their own."""
