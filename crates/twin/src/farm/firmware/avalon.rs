//! Avalon Q: the cgminer API with `ascset`.
