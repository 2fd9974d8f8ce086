"""The detector as a graph that ONNX Runtime computes without Python."""
