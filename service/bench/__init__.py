"""How fast detectors are, how close to what their classifiers allow, and what others cost: `isthmus bench`."""
