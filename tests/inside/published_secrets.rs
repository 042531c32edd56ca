//! The secrets that everybody knows are refused, and random ones are not.
