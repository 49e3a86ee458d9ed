//! What answers at one address: at most two short questions, bounded in bytes and time.
