"""Labelled images from wherever a user keeps them."""

from service.imagesets.loading import load_image_set

__all__ = ["load_image_set"]
