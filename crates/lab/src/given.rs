//! An input's value and where it came from.

use crate::report::{Cell, Input, Source};

/// A value and its origin, for the list of inputs that every report prints.
#[derive(Debug, Clone, PartialEq)]
pub struct Given<T> {
    /// What is computed with.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Given<T> {
    /// From the command line.
    pub fn flag(value: T) -> Self {
        Self { value, source: Source::Flag }
    }

    /// Published at `origin`, of `date` (`2025`, `2025-12`).
    pub fn default(value: T, origin: &'static str, date: &'static str) -> Self {
        Self { value, source: Source::Default { origin, date } }
    }

    /// As a line of a report's inputs.
    pub fn input_as(&self, name: &'static str, cell: impl FnOnce(&T) -> Cell) -> Input {
        Input { name, value: cell(&self.value), source: self.source.clone() }
    }

    /// Takes the value from the command line, if there is one.
    pub fn set(&mut self, flag: Option<T>) {
        if let Some(value) = flag {
            *self = Self::flag(value);
        }
    }
}
