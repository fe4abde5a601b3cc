//! CPU operations of a transformer training step.
