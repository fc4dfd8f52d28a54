"""Lists from an exported folder, in Python and over HTTP: onnxruntime and numpy, no torch and no training code."""
