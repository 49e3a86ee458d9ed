//! Antminer stock: CGI behind digest authentication, and the cgminer API.
