"""From items to rows: decoding and the detector, side by side."""
