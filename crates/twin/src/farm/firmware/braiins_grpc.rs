//! Braiins OS: the public gRPC API on port 50051, as far as pyasic asks.
