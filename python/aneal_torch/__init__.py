"""Independent PyTorch implementation of the aneal model, data formats and score.

Nothing here shares code with the Rust workspace, so that agreement between the two is evidence.
"""
