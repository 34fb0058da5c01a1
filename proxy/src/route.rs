//! From a request to what is done with it: decided once, into one value.

mod client_certificate;
mod cors;
mod decide;
mod decision;
pub(crate) mod find;
mod format;
mod hash;
mod prepare;
mod rewrite;

use crate::model::Percent;

pub use decide::decide;
pub use decision::{Action, Answer, Decision, Forward};
pub use find::{field, field_matches, path_matches, split_query};
pub use hash::of_source;

/// True for this share of calls, by chance.
fn draw(percent: Percent) -> bool {
    match percent.0 {
        0 => false,
        1_000_000.. => true,
        millionths => fastrand::u32(..1_000_000) < millionths,
    }
}
