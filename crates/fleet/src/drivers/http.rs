//! One HTTP request with a deadline and a bounded answer.
