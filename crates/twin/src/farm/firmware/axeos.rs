//! AxeOS: REST and WebSocket.
