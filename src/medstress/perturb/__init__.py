"""Perturbations of medical images, calibrated by SSIM on every image."""

from medstress.perturb.registry import PERTURBATIONS

__all__ = ["PERTURBATIONS"]
