//! What is wrong with an input, in one sentence that names what to mend.

/// Why an analysis cannot be made. The text is for the person who gave the input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct LabError(String);

impl LabError {
    /// `sentence` names the input and what to mend, without a full stop.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}
