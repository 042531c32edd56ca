/// The prefix of a cookie's name, and the rules that browsers enforce for it.
///
/// ```
/// use tower_sealed_session::{KeyRing, Prefix, SessionLayer, SessionLayerBuilder};
///
/// let layer = || SessionLayer::builder(KeyRing::ephemeral().unwrap());
/// let name = |layer: SessionLayerBuilder| layer.build().unwrap().cookie_name().to_owned();
///
/// assert_eq!(name(layer()), "__Host-Http-session");
/// assert_eq!(name(layer().name("sid")), "__Host-Http-sid");
/// assert_eq!(name(layer().name("sid").prefix(Prefix::Host)), "__Host-sid");
/// assert_eq!(name(layer().name("sid").domain("example.com")), "__Secure-sid");
/// assert_eq!(name(layer().name("sid").prefix(Prefix::None)), "sid");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Prefix {
    /// `__Host-Http-`: the rules of `__Host-`, and only a response can set the cookie, never a
    /// script. Browsers that do not know this prefix apply the rules of `__Host-`, since the name
    /// begins with it.
    HostHttp,
    /// `__Host-`: only HTTPS, only this host, every path. No other host can plant the cookie.
    Host,
    /// `__Secure-`: only HTTPS. Other hosts of the domain can plant the cookie.
    Secure,
    /// No prefix. Any host of the domain can plant the cookie, even over plain HTTP.
    None,
}

impl Prefix {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HostHttp => "__Host-Http-",
            Self::Host => "__Host-",
            Self::Secure => "__Secure-",
            Self::None => "",
        }
    }
}

/// A cookie's name with its prefix: a token of RFC 9110, at most [`CookieName::MAX_LEN`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieName(Box<str>);

impl CookieName {
    pub(crate) const MAX_LEN: usize = 128;

    pub(crate) fn new(prefix: Prefix, name: &str) -> Option<Self> {
        let whole = format!("{}{name}", prefix.as_str());
        let valid = !name.is_empty() && whole.len() <= Self::MAX_LEN && whole.bytes().all(is_token);
        valid.then(|| Self(whole.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens() {
        let name =
            |name| CookieName::new(Prefix::HostHttp, name).map(|name| name.as_str().to_owned());
        assert_eq!(name("session").as_deref(), Some("__Host-Http-session"));
        for bad in [
            "",
            "a b",
            "a=b",
            "a;b",
            "é",
            "a\r\nb",
            "a,b",
            "\"a\"",
            &"a".repeat(117),
        ] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
    }
}
