"""medstress: severity-calibrated stress tests for medical foundation models."""

__version__ = "0.1.0"
