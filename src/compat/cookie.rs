use std::{fmt, sync::Arc, time::Duration};

use cookie::SameSite;
use serde::de::DeserializeOwned;

use super::format::Format;
use crate::{cookie::Attributes, entries::Entries};

/// The session cookie of the app that is being replaced, with the settings of that app.
///
/// The settings and their defaults are those of Starlette's `SessionMiddleware`.
#[derive(Clone)]
#[must_use]
pub struct LegacyCookie {
    pub(super) format: Arc<dyn Format>,
    /// In seconds.
    pub(crate) max_age: u32,
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    pub(super) browser_session: bool,
    pub(super) owner: Option<Arc<OwnerOf>>,
}

pub(super) type OwnerOf = dyn Fn(&LegacyEntries<'_>) -> Option<String> + Send + Sync;

impl LegacyCookie {
    /// A cookie in that format. Cookies older than `max_age` are refused. A fraction of a second in
    /// `max_age` is ignored; the minimum is one second.
    ///
    /// Set an age even if the legacy app had none (`max_age=None`) and its cookies never expired.
    pub fn new(format: impl Format, max_age: Duration) -> Self {
        Self {
            format: Arc::new(format),
            max_age: u32::try_from(max_age.as_secs()).unwrap_or(u32::MAX),
            name: "session".to_owned(),
            attributes: Attributes {
                path: "/".to_owned(),
                domain: None,
                same_site: SameSite::Lax,
                secure: false,
                partitioned: false,
            },
            browser_session: false,
            owner: None,
        }
    }

    /// The old `session_cookie`. Default: `session`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The old `path`. Default: `/`.
    ///
    /// Browsers keep cookies with different paths or domains apart. If these settings differ from
    /// the legacy app's, the legacy cookie is neither replaced nor removed.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.attributes.path = path.into();
        self
    }

    /// The old `domain`. Default: none.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.attributes.domain = Some(domain.into());
        self
    }

    /// The old `same_site`. Default: `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.attributes.same_site = same_site;
        self
    }

    /// The old `https_only`. Default: `false`.
    pub fn https_only(mut self, https_only: bool) -> Self {
        self.attributes.secure = https_only;
        self
    }

    /// The old `partitioned`. Default: `false`.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.attributes.partitioned = partitioned;
        self
    }

    /// Whether the legacy app had `max_age=None`. Default: `false`.
    ///
    /// Browsers then delete the cookie when they close, which logs the user out.
    pub fn browser_session(mut self, browser_session: bool) -> Self {
        self.browser_session = browser_session;
        self
    }

    /// Sets how to find the owner of a session in the entries of the legacy app.
    /// [`Session::owner`](crate::Session::owner) then returns this owner.
    ///
    /// ```
    /// # #[cfg(feature = "starlette")] {
    /// # use std::time::Duration;
    /// # use tower_sealed_session::compat::{LegacyCookie, Starlette};
    /// # let cookie = LegacyCookie::new(Starlette::new(["s"])?, Duration::from_secs(1));
    /// cookie.owner(|entries| entries.get::<u64>("user_id").map(|id| id.to_string()));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Without it, sessions from the legacy app have no owner, and each request with a legacy
    /// cookie gets a new session id. With it, all requests with the same cookie have the same id.
    /// So a logout or login in one request also ends the session for the other requests in flight.
    pub fn owner(
        mut self,
        owner: impl Fn(&LegacyEntries<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.owner = Some(Arc::new(owner));
        self
    }
}

impl fmt::Debug for LegacyCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyCookie")
            .field("name", &self.name)
            .field("attributes", &self.attributes)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// The entries of the legacy app's session, for [`LegacyCookie::owner`].
pub struct LegacyEntries<'a>(pub(super) Entries<'a>);

impl LegacyEntries<'_> {
    /// Returns an entry's value, or `None` if the entry is missing or has another type.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(self.0.get(key)?).ok()
    }
}

impl fmt::Debug for LegacyEntries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
