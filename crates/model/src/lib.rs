//! The model and its training step.
