//! Carries out what a tuner decides, keeps its journal, restores the last good setting on any doubt.
