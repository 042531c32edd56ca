use time::OffsetDateTime;

/// How another system writes a session into a cookie's value.
///
/// [`Starlette`](super::Starlette) is one; implement it for your own old system. Name, attributes, expiry and owner are
/// [`LegacyCookie`](super::LegacyCookie)'s: this is the value alone.
///
/// ```
/// use tower_sealed_session::{OffsetDateTime, compat::{Format, Signed, Unreadable}};
///
/// /// `seconds.object.signature`
/// struct Ours;
///
/// # fn sign(_: &str) -> String { "s".into() }
/// # fn verify(text: &str) -> bool { text.ends_with(".s") }
/// impl Format for Ours {
///     fn open(&self, value: &[u8]) -> Result<Signed, Unreadable> {
///         // first the signature, in constant time, and nothing before it
///         let text = std::str::from_utf8(value).ok().filter(|text| verify(text)).ok_or(Unreadable::Forged)?;
///         let mut parts = text.splitn(3, '.');
///         let seconds = parts.next().and_then(|seconds| seconds.parse().ok()).ok_or(Unreadable::Undecodable)?;
///         let at = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Unreadable::Undecodable)?;
///         let json = parts.next().ok_or(Unreadable::Undecodable)?;
///         Ok(Signed { json: json.into(), at })
///     }
///
///     fn seal(&self, json: &str, at: OffsetDateTime) -> String {
///         let signed = format!("{}.{json}", at.unix_timestamp());
///         format!("{signed}.{}", sign(&signed))
///     }
///
///     fn len(&self, json: usize) -> usize {
///         10 + 1 + json + 1 + 1
///     }
/// }
/// ```
pub trait Format: Send + Sync + 'static {
    /// What a value holds, if it is authentic. Whether it has expired is not asked here.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] says why not; the visitor is then without a session.
    fn open(&self, value: &[u8]) -> Result<Signed, Unreadable>;

    /// The value that holds the JSON object `json`, signed at the second that `at` is in. It must be made of what may stand
    /// in a cookie's value (RFC 6265 §4.1.1).
    fn seal(&self, json: &str, at: OffsetDateTime) -> String;

    /// How long [`seal`](Self::seal)'s value is, at most, for an object of so many bytes.
    fn len(&self, json: usize) -> usize;
}

/// What an authentic value holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// A JSON object.
    pub json: Vec<u8>,
    /// When it was signed; whole seconds count.
    pub at: OffsetDateTime,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Why a value is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// No known key signed it.
    Forged,
    /// A known key signed it, and yet it is not a JSON object with a time.
    Undecodable,
}
