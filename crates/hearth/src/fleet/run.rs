//! The fleet beside a running site: started with it, stopped before it, never in its way.
