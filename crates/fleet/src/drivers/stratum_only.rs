//! A machine without an interface: curtailed by giving it no work.
