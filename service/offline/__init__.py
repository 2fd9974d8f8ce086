"""Offline audits: collections of images, judged in shards that are whole or not there at all."""
