//! One command to many: staged by circuit and in time, in parallel with bounded sockets.
