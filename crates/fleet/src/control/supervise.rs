//! Reads every machine in turn, spread evenly over the period.
