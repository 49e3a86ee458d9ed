//! LuxOS: sessions, profiles, curtailment over the cgminer API.
