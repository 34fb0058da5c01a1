//! What configuration says at one moment, wherever it was read from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, ObjectRef};
use crate::objects::Objects;

/// What configuration says now.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// All objects in force.
    pub objects: Arc<Objects>,
    /// Everything there is to say of them.
    pub diagnostics: Arc<[Diagnostic]>,
    /// Objects whose newest version is refused, with its generation (0 where none is counted). The last good version, if
    /// there was one, is among the objects in force.
    pub refused: Arc<BTreeMap<ObjectRef, i64>>,
}
