//! Which commands may go now: the sum of what may be drawn stays within every budget at every instant. Pure.
