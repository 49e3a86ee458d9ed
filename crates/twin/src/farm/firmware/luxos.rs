//! LuxOS: the cgminer API with sessions, profiles and curtailment.
