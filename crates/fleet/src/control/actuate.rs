//! One command to one machine: check, send, read back until sure, judge.
