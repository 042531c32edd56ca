/// Where a layer keeps its sessions: the label `mode`.
#[allow(dead_code, reason = "some are of features that may be off")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Cookie,
    /// In a cookie that is signed but not encrypted.
    Signed,
    Store,
    Overflow,
    ReadFrom,
}

#[allow(dead_code, reason = "the feature `metrics` may be off")]
impl Mode {
    pub(crate) const ALL: [Self; 5] = [
        Self::Cookie,
        Self::Signed,
        Self::Store,
        Self::Overflow,
        Self::ReadFrom,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Signed => "signed",
            Self::Store => "store",
            Self::Overflow => "overflow",
            Self::ReadFrom => "read_from",
        }
    }
}
