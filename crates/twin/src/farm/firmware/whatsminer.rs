//! Whatsminer API version 2: plain questions, encrypted commands.
