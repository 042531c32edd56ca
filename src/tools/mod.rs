//! For programs that look at cookies and stores from outside an app, such as the command line
//! `sealed-session`, jobs and exporters.
//!
//! Use a [`SessionLayer`](crate::SessionLayer) with the settings of the app: the same secrets, cookie
//! name, audience and timeouts. Otherwise the cookies and rows of the app do not open.
//!
//! ```
//! use tower_sealed_session::{KeyRing, SessionLayer, testing, tools};
//!
//! let layer = SessionLayer::new(KeyRing::ephemeral()?);
//! let ada = testing::session(&layer);
//! ada.login("ada")?;
//! ada.insert("theme", "dark")?;
//! let cookie = testing::cookie(&layer, &ada)?;
//! let (_, value) = cookie.to_str()?.split_once('=').expect("name and value");
//!
//! let inspection = tools::inspect(&layer, value.as_bytes(), ada.created_at());
//! assert_eq!(inspection.rejected(), None);
//! assert_eq!(inspection.key().map(|key| key.is_current()), Some(Some(true)));
//! let session = inspection.session().expect("it opened");
//! assert_eq!(session.keys().collect::<Vec<_>>(), ["theme"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod contents;
mod import;
mod inspect;
mod keyset;
mod relocate;
mod revoked;

pub use self::{
    contents::{Contents, contents},
    import::{Import, ImportFound, find_import, import},
    inspect::{InspectedKey, InspectedSession, Inspection, inspect},
    keyset::{KeyPurpose, tink_keyset},
    relocate::{Relocated, relocate},
    revoked::is_revoked,
};
