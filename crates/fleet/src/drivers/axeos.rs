//! AxeOS: frequency, voltage, fan, target temperature over REST; live data over WebSocket.
