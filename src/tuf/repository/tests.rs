//! What a repository does to the disk, step by step.

use super::*;
