//! Renders the `Set-Cookie` headers that set and remove the cookie, from one template.

use bytes::Bytes;
use cookie::{Cookie, SameSite};
use http::HeaderValue;

use super::name::CookieName;

/// Browsers drop a cookie if its name and value together are longer (RFC 6265bis §5.6).
pub(crate) const MAX_PAIR: usize = 4096;

/// The attributes of a cookie, checked alone and together.
#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) secure: bool,
    pub(crate) partitioned: bool,
}

/// A cookie without its value and its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    name: CookieName,
    /// `name=`
    start: Box<str>,
    /// `; Path=/; …; Max-Age=`, the same for every value and for removal.
    attributes: Box<str>,
}

/// The end of [`Template::attributes`]. Omitted if the cookie ends with the browser session.
const MAX_AGE: &str = "; Max-Age=";

impl Template {
    pub(crate) fn new(name: CookieName, attributes: &Attributes) -> Self {
        let mut cookie = Cookie::build(("", ""))
            .path(&attributes.path)
            .secure(attributes.secure)
            .http_only(true)
            .same_site(attributes.same_site)
            .partitioned(attributes.partitioned);
        if let Some(domain) = &attributes.domain {
            cookie = cookie.domain(domain);
        }
        let rendered = cookie.build().to_string();
        let attributes = rendered
            .strip_prefix('=')
            .expect("the cookie has neither name nor value");
        Self {
            start: [name.as_str(), "="].concat().into(),
            attributes: [attributes, MAX_AGE].concat().into(),
            name,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The maximum length of a value.
    pub(crate) fn max_value(&self) -> usize {
        MAX_PAIR - self.name().len()
    }

    /// The header that sets the cookie. `write` appends the value: `len` bytes of base64url.
    pub(crate) fn set(
        &self,
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
        max_age: Option<u64>,
    ) -> HeaderValue {
        let mut digits = itoa::Buffer::new();
        match max_age {
            Some(seconds) => self.render(len, write, &self.attributes, digits.format(seconds)),
            None => {
                let without = self.attributes.len() - MAX_AGE.len();
                self.render(len, write, &self.attributes[..without], "")
            }
        }
    }

    /// The header that removes the cookie.
    pub(crate) fn remove(&self) -> HeaderValue {
        let past = "0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        self.render(0, |_| {}, &self.attributes, past)
    }

    /// Renders the header. The capacity is exact, so that the header uses the buffer without a
    /// copy.
    fn render(
        &self,
        value_len: usize,
        value: impl FnOnce(&mut Vec<u8>),
        attributes: &str,
        age: &str,
    ) -> HeaderValue {
        let len = self.start.len() + value_len + attributes.len() + age.len();
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(self.start.as_bytes());
        value(&mut out);
        out.extend_from_slice(attributes.as_bytes());
        out.extend_from_slice(age.as_bytes());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from(out))
            .expect("names and attributes are checked, the rest is base64url and digits");
        header.set_sensitive(true);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::Prefix;

    fn template(domain: Option<&str>, partitioned: bool) -> Template {
        let name = CookieName::new(Prefix::Secure, "sid").expect("a name");
        Template::new(
            name,
            &Attributes {
                path: "/app".to_owned(),
                domain: domain.map(str::to_owned),
                same_site: SameSite::None,
                secure: true,
                partitioned,
            },
        )
    }

    fn text(header: &HeaderValue) -> &str {
        assert!(header.is_sensitive());
        header.to_str().expect("ASCII")
    }

    #[test]
    fn set_and_remove_have_the_same_attributes() {
        for template in [template(None, false), template(Some("example.com"), true)] {
            let set = template.set(2, |out| out.extend_from_slice(b"AY"), Some(60));
            let remove = template.remove();
            let middle = text(&set)
                .strip_prefix("__Secure-sid=AY")
                .expect("name and value");
            let middle = middle.strip_suffix("; Max-Age=60").expect("the age");
            let removal =
                format!("__Secure-sid={middle}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
            assert_eq!(text(&remove), removal);
        }
    }

    #[test]
    fn name_and_value_have_at_most_4096_bytes() {
        let template = template(None, false);
        assert_eq!(template.max_value(), 4096 - "__Secure-sid".len());
    }

    #[test]
    fn all_attributes_are_rendered() {
        let header = template(Some("example.com"), true).set(0, |_| {}, None);
        let mut parts: Vec<_> = text(&header).split("; ").skip(1).collect();
        parts.sort_unstable();
        assert_eq!(
            parts,
            [
                "Domain=example.com",
                "HttpOnly",
                "Partitioned",
                "Path=/app",
                "SameSite=None",
                "Secure"
            ]
        );
    }
}
