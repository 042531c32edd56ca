//! Taking over what was imported for the owner.

use super::handle::Session;
use crate::error::{Error, ErrorKind};

impl Session {
    /// Takes over the entries that were imported for the owner, from a file of sessions. Call it in
    /// the handler of the login, after [`login`](Self::login). Returns whether there were any.
    ///
    /// Each import is taken once, by the first login of its owner. An entry that the session has
    /// already stays as it is. If there are any, the session is [committed](Self::commit); otherwise
    /// this costs one call to the store, and one more for each fallback of the secret.
    ///
    /// The command `sealed-session import` makes the imports, and so does `tools::import` with the
    /// feature `tools`.
    ///
    /// ```
    /// use tower_sealed_session::{Error, Session};
    ///
    /// async fn logged_in(session: &Session, user: &str) -> Result<(), Error> {
    ///     session.login(user)?;
    ///     if session.adopt_imported().await? {
    ///         session.insert("notice", "Your settings were moved.")?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// If a request breaks off after it has claimed the entries, a login that comes a minute later
    /// takes them. Two logins at the same time do not both take them. If the response is lost and
    /// the session is in its cookie, the entries are lost with it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoOwner`] if nobody is logged in. [`ErrorKind::Unavailable`] if the layer has no
    /// store, if it cannot be reached, or if it holds an import that was sealed with another secret.
    /// The errors of [`insert`](Self::insert) if the entries do not fit, and of
    /// [`commit`](Self::commit). After an error, a later login can take the entries. If they may not
    /// fit, as into a cookie, let the login go on after a [`TooLarge`](ErrorKind::TooLarge) error.
    pub async fn adopt_imported(&self) -> Result<bool, Error> {
        let owner = self.owner().ok_or(ErrorKind::NoOwner)?;
        let Some(claim) = self.request.claim_import(owner).wait().await? else {
            return Ok(false);
        };
        let entries = claim.record.entries();
        let absent = entries.iter().filter(|(key, _)| !self.contains_key(key));
        let absent = absent.map(|(key, json)| (key, Some(json))).collect();
        self.change("adopt_imported", self.state().set_all(self.rules(), absent))?;
        self.commit().await?;
        // the entries are saved; without this, a login a minute later would take them again
        let _ = self.request.finish_import(claim).wait().await;
        Ok(true)
    }
}
