//! All devices, and what finds which machine is which.
