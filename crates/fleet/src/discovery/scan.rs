//! Every address of a range, a few at a time.
