//! Avalon home units (Nano 3S, Mini 3, Q): `ascset` over the cgminer API.
