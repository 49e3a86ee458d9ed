//! Braiins OS: REST, GraphQL and the cgminer API.
