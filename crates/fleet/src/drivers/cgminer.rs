//! The cgminer API: one JSON request a connection, an answer ended by a zero byte or by its end. Bounded in bytes and time.
