use std::{fmt, ops::Deref};

use http::Extensions;

use crate::{error::Error, request::Slot};

/// The owner who is logged in. A request without one is refused.
///
/// Under axum it is an extractor: the handler runs only for visitors who are logged in. Others get
/// `401 Unauthorized`, or are sent to the [`login_page`](crate::SessionLayer::login_page).
/// `Option<Owner>` admits all visitors.
///
/// ```
/// use tower_sealed_session::{Error, Owner, Session};
///
/// async fn orders(owner: Owner, session: Session) -> Result<String, Error> {
///     let page: u32 = session.get("page")?.unwrap_or(1);
///     Ok(format!("page {page} of the orders of {owner}"))
/// }
///
/// async fn greeting(owner: Option<Owner>) -> String {
///     owner.map_or("Hello".to_owned(), |owner| format!("Hello {owner}"))
/// }
/// ```
///
/// It is the owner at the time at which it was extracted. To guard many routes at once, use
/// [`require_owner`](crate::require_owner()).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The owner of the session of the innermost layer around the service, in plain Tower.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoOwner`](crate::ErrorKind::NoOwner), and the errors of
    /// [`Session::from_extensions`](crate::Session::from_extensions).
    pub async fn from_extensions(extensions: &Extensions) -> Result<Self, Error> {
        Ok(Self(Slot::innermost(extensions)?.owner().await?))
    }

    /// The owner that was given to [`login`](crate::Session::login).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a `String`.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Owner {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Owner {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Logs show no owner.
impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}
