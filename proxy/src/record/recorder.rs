//! One worker's end of the records.

use crate::conn::ConnInfo;
use crate::model::HttpConnection;

use super::RequestRecord;

/// Takes the records of one worker.
#[derive(Default)]
pub struct Recorder {}

impl Recorder {
    /// A request is over.
    pub fn request(&self, _conn: &ConnInfo, _http: &HttpConnection, _record: &RequestRecord) {}
}
