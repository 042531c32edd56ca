//! Finding session cookies in what a person pastes.

use tower_sealed_session::SessionLayer;

/// A cookie's value, and what is wrong with the header that sets it.
pub(crate) struct Found<'a> {
    pub(crate) value: &'a str,
    /// The attributes that a `Set-Cookie` header lacks.
    pub(crate) missing: Vec<&'static str>,
}

/// Finds the cookies of a layer in a bare value, `name=value`, or `Cookie` and `Set-Cookie` headers.
pub(crate) fn find<'a>(layer: &SessionLayer, text: &'a str) -> Vec<Found<'a>> {
    let name = layer.cookie_name();
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if let [value] = lines[..]
        && !value.contains(['=', ';', ' ', ':'])
    {
        return vec![found(value)];
    }
    lines
        .into_iter()
        .flat_map(|line| in_header(name, line))
        .collect()
}

fn in_header<'a>(name: &str, line: &'a str) -> Vec<Found<'a>> {
    let field = |field: &str| {
        let (before, after) = line.split_once(':')?;
        before
            .trim()
            .eq_ignore_ascii_case(field)
            .then(|| after.trim())
    };
    let value = |pair: &'a str| {
        let (before, value) = pair.split_once('=')?;
        (before.trim() == name).then(|| value.trim())
    };
    if let Some(header) = field("set-cookie") {
        let mut parts = header.split(';');
        let Some(value) = parts.next().and_then(value) else {
            return Vec::new();
        };
        let attributes: Vec<_> = parts.map(|part| part.trim().to_ascii_lowercase()).collect();
        let lacks = |name: &&str| !attributes.contains(&name.to_ascii_lowercase());
        let missing = ["Secure", "HttpOnly"].into_iter().filter(lacks).collect();
        return vec![Found {
            missing,
            ..found(value)
        }];
    }
    let pairs = field("cookie").unwrap_or(line).split(';');
    pairs.filter_map(value).map(found).collect()
}

/// A value without the double quotes that some clients put around it.
fn found(value: &str) -> Found<'_> {
    let inside = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Found {
        value: inside.unwrap_or(value),
        missing: Vec::new(),
    }
}
