//! Which sessions of an owner are the one that a handler holds.

use super::handle::Session;
use crate::{error::Error, record::Head};

impl Session {
    /// The session that the request brought or saved last, and the one that its response sends.
    pub(crate) fn heads(&self) -> Result<Vec<Head>, Error> {
        let followed = self.state().followed().map(|previous| previous.head);
        let mut session = self.state().lock();
        let id = session.id(self.rules())?;
        let times = session.changes.times;
        Ok(followed.into_iter().chain([Head { id, times }]).collect())
    }
}
