//! The Stratum server as the fleet's meter.
