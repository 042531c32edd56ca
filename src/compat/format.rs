use time::OffsetDateTime;

/// The format in which another system encodes a session in a cookie's value.
///
/// [`Starlette`](super::Starlette) is one format. Implement this trait for a legacy system of your
/// own. It covers only the value: [`LegacyCookie`](super::LegacyCookie) has name, attributes,
/// expiry and owner.
///
/// ```
/// # #[cfg(feature = "starlette")] {
/// use tower_sealed_session::{OffsetDateTime, compat::{Format, Signed, Unreadable}};
///
/// /// `seconds.object.signature`
/// struct Ours;
///
/// # fn sign(_: &str) -> String { "s".into() }
/// # fn verify(text: &str) -> bool { text.ends_with(".s") }
/// impl Format for Ours {
///     fn open(&self, value: &[u8]) -> Result<Signed, Unreadable> {
///         // verify the signature first, in constant time
///         let text = std::str::from_utf8(value).ok().filter(|text| verify(text));
///         let mut parts = text.ok_or(Unreadable::Forged)?.splitn(3, '.');
///         let seconds = parts.next().and_then(|seconds| seconds.parse().ok());
///         let at = OffsetDateTime::from_unix_timestamp(seconds.ok_or(Unreadable::Undecodable)?);
///         let at = at.map_err(|_| Unreadable::Undecodable)?;
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
/// # }
/// ```
pub trait Format: Send + Sync + 'static {
    /// Returns the content of an authentic value. Does not check whether it has expired.
    ///
    /// The value is as the client sent it. If it is in double quotes, they are part of it.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] is the reason for a refusal. The visitor then has no session.
    fn open(&self, value: &[u8]) -> Result<Signed, Unreadable>;

    /// Returns the value for the JSON object `json`, signed at `at`, in whole seconds.
    ///
    /// The value must have only bytes that a cookie's value may have (RFC 6265 §4.1.1).
    fn seal(&self, json: &str, at: OffsetDateTime) -> String;

    /// The maximum length of [`seal`](Self::seal)'s value for an object of `json` bytes.
    ///
    /// It is called while a session changes, and must not use that session.
    fn len(&self, json: usize) -> usize;
}

/// The content of an authentic value.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// A JSON object.
    pub json: Vec<u8>,
    /// The time of the signature, in whole seconds.
    pub at: OffsetDateTime,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// The reason why a value is not a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// No known key signed it.
    Forged,
    /// A known key signed it, but it is not a JSON object with a time.
    Undecodable,
}
