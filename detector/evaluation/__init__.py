"""How well a detector does: attacks, adaptive attacks, baselines, metrics, and the page that shows them."""
