//! What a person can do about an error.
//!
//! An error's sentence says what was tried on what; its `source` says why it failed; the
//! hint is a command or a variable that would have worked. Only the top level prints it.

/// An error that may know the way out.
pub trait Hint {
    /// A command to run or a flag or variable to set, in one line without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}
