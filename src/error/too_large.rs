use std::fmt;

/// The size that a session would have, the limit, and the largest entries.
///
/// All sizes are in bytes. The base64 encoding of a cookie adds a third.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    place: &'static str,
    size: usize,
    limit: usize,
    largest: Vec<(String, usize)>,
}

impl TooLarge {
    /// How many of the largest entries an error names.
    pub(crate) const NAMED: usize = 3;

    pub(crate) const COOKIE: &'static str = "as a cookie (name and value)";

    pub(crate) const ROW: &'static str = "in the store";

    pub(crate) fn new(
        place: &'static str,
        size: usize,
        limit: usize,
        largest: Vec<(String, usize)>,
    ) -> Self {
        Self {
            place,
            size,
            limit,
            largest,
        }
    }

    /// The length of the cookie's name and value together; with a store, the length of the row.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The limit: 4096, since browsers drop a longer cookie; with a store, 65 536.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Up to three entries, the largest first: the key, and the length of the value as JSON.
    #[must_use]
    pub fn largest(&self) -> &[(String, usize)] {
        &self.largest
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the session would take {} bytes {}, but the limit is {}",
            self.size, self.place, self.limit
        )?;
        for (n, (key, len)) in self.largest.iter().enumerate() {
            let lead = if n == 0 { "; largest entries: " } else { ", " };
            write!(f, "{lead}{key:?} ({len} bytes)")?;
        }
        Ok(())
    }
}
