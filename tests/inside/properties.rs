//! Properties that hold for all inputs, against models that are slow and plain.
