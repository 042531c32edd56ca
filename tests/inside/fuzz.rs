//! The fuzz targets, one function each. A function panics if its property does not hold.
//!
//! The programs in `fuzz/` call these functions. The test in this file calls them with the inputs
//! in `tests/corpus`.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::pin,
    sync::OnceLock,
    task::{Context as Task, Poll, Waker},
};

use base64::engine::{Engine as _, general_purpose::URL_SAFE_NO_PAD as SCALAR};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CACHE_CONTROL, COOKIE, SET_COOKIE, VARY},
};
use time::OffsetDateTime;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::{
    KeyRing, Prefix, SameSite, Secret, Session, SessionLayer,
    cookie::scan,
    entries::{Edited, Entries},
    key::{Context, Keys, Purpose, key_ring},
    record::{self, Record},
    seal::{self, HEADROOM, Unsealed},
    testing::{self, TestClock},
};

/// Splits off the first byte, which selects what to do with the rest.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(&first, rest)| (first, rest))
}

fn ring() -> KeyRing {
    let secret = |text| Secret::new(text).expect("the secret is random");
    KeyRing::new(secret("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE="))
        .fallback(secret("QmZ4c1l0d3hHb2pTa3VqN3BFd2V5bE5pRlR4c2tBnO0="))
}

/// Keys, and the bytes of the only two tokens that were sealed with them.
struct Genuine {
    keys: Keys,
    tokens: [Vec<u8>; 2],
}

fn genuine() -> &'static Genuine {
    static GENUINE: OnceLock<Genuine> = OnceLock::new();
    GENUINE.get_or_init(|| {
        let keys = ring().derive(Context {
            purpose: Purpose::COOKIE,
            cookie_name: "__Host-Http-session",
            audience: "",
        });
        let tokens = [1, 2].map(|fill| {
            let bytes = vec![fill; HEADROOM + 48];
            seal::seal(keys.current(), b"", &[fill; 32], bytes).to_vec()
        });
        Genuine { keys, tokens }
    })
}

/// Opens a token. The first byte selects how it is made from the input: the input itself, a genuine
/// head and the input, a genuine token with changes, or parts of two genuine tokens.
///
/// Only a genuine token opens.
pub fn token(data: &[u8]) {
    let Genuine { keys, tokens } = genuine();
    let (kind, rest) = choice(data);
    let at = |n: usize| rest.get(n).map_or(0, |&byte| usize::from(byte));
    let mut text = Vec::new();
    match kind % 4 {
        0 => text.extend_from_slice(rest),
        1 => seal::append_text(&[&tokens[0][..5], rest].concat(), &mut text),
        2 => {
            let mut bytes = tokens[0].clone();
            for change in rest.chunks_exact(2) {
                let at = usize::from(change[0]) % bytes.len();
                bytes[at] ^= change[1];
            }
            seal::append_text(&bytes, &mut text);
        }
        _ => {
            let [a, b] = tokens;
            let mixed = [&a[..at(0).min(a.len())], &b[at(1).min(b.len())..]].concat();
            seal::append_text(&mixed, &mut text);
        }
    }
    let genuine = tokens.iter().any(|token| {
        let mut token_text = Vec::new();
        seal::append_text(token, &mut token_text);
        token_text == text
    });
    assert_eq!(seal::open(keys, b"", &text).is_ok(), genuine);
}

/// The alphabet of RFC 4648 §5.
pub(crate) const BASE64URL: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64url without padding, computed bit by bit.
pub(crate) fn plain_encoding(bytes: &[u8]) -> Vec<u8> {
    let mut bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    bits.resize(bits.len().next_multiple_of(6), 0);
    let value = |six: &[u8]| six.iter().fold(0, |value, bit| value << 1 | bit);
    let letters = bits.chunks(6).map(|six| BASE64URL[usize::from(value(six))]);
    letters.collect()
}

/// The reverse of [`plain_encoding`]. `None` for a text that it never returns.
pub(crate) fn plain_decoding(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    for &letter in text {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (count < 6 && bits == 0).then_some(out)
}

/// Decodes with the processor's vector instructions and without them. Returns whether the text is
/// accepted.
pub(crate) fn decodes(text: &[u8]) -> bool {
    let wanted = plain_decoding(text);
    assert_eq!(seal::parse_text(text), wanted, "{text:02x?}");
    assert_eq!(SCALAR.decode(text).ok(), wanted, "{text:02x?}");
    wanted.is_some()
}

/// Encodes with the processor's vector instructions and without them.
pub(crate) fn encoded(bytes: &[u8]) -> Vec<u8> {
    let wanted = plain_encoding(bytes);
    let mut out = b"name=".to_vec();
    seal::append_text(bytes, &mut out);
    assert_eq!(out, [b"name=", &wanted[..]].concat(), "{bytes:02x?}");
    assert_eq!(SCALAR.encode(bytes).as_bytes(), wanted, "{bytes:02x?}");
    assert_eq!(seal::text_len(bytes.len()), wanted.len());
    wanted
}

/// Encodes the input, and decodes two texts: the input itself, and letters with one byte of the
/// input among them.
///
/// The results are those of `plain_encoding` and `plain_decoding`.
pub fn base64(data: &[u8]) {
    assert!(decodes(&encoded(data)));
    decodes(data);
    let (at, rest) = choice(data);
    let (byte, rest) = choice(rest);
    let letters = rest.iter().map(|byte| BASE64URL[usize::from(byte % 64)]);
    let mut text: Vec<_> = letters.collect();
    decodes(&text);
    if let Some(letter) = text.get_mut(usize::from(at)) {
        *letter = byte;
    }
    decodes(&text);
}

/// The values that the rule of the scan gives, computed without optimisations.
fn plain_values<'a>(header: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    fn trim(bytes: &[u8]) -> &[u8] {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = bytes
            .iter()
            .position(|byte| !is_space(byte))
            .unwrap_or(bytes.len());
        let end = bytes
            .iter()
            .rposition(|byte| !is_space(byte))
            .map_or(start, |at| at + 1);
        &bytes[start..end]
    }
    let pairs = header.split(|&byte| byte == b';').filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        (trim(&pair[..equals]) == name.as_bytes()).then(|| trim(&pair[equals + 1..]))
    });
    pairs.collect()
}

/// The same values, each without one pair of quotes around it.
fn plain_tokens<'a>(header: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let unquoted = |value: &'a [u8]| {
        let inside = value.strip_prefix(b"\"")?;
        inside.strip_suffix(b"\"")
    };
    let values = plain_values(header, name).into_iter();
    values
        .map(|value| unquoted(value).unwrap_or(value))
        .collect()
}

/// Scans a header. The scan finds the same values and tokens as the plain rules.
pub fn cookie_header(data: &[u8]) {
    let (kind, header) = choice(data);
    let name = ["__Host-Http-session", "session", "a", "!"][usize::from(kind % 4)];
    let found: Vec<_> = scan::values(header, name).collect();
    assert_eq!(found, plain_values(header, name));
    let found: Vec<_> = scan::tokens(header, name).collect();
    assert_eq!(found, plain_tokens(header, name));
}

/// Parses the input as the content of an authentic token, then uses it as a series of changes.
///
/// A record that parses is canonical: it encodes to the same bytes, except for the padding. The
/// changes have the same effect on entries and on a map.
pub fn record(data: &[u8]) {
    if let Ok(record) = Record::parse(data.to_vec(), 0..data.len()) {
        let entries = record.entries();
        let mut again = record::encode(record.head, record.owner(), entries, 0, 0);
        again[0] |= if record.stored { 4 } else { 0 };
        let content = again.len() - again.iter().rev().take_while(|&&byte| byte == 0).count();
        let (canonical, padding) = data.split_at(content);
        assert_eq!(canonical, &again[..content]);
        assert!(padding.iter().all(|&byte| byte == 0));
        let keys: Vec<_> = entries.iter().map(|(key, _)| key).collect();
        assert!(keys.is_sorted_by(|a, b| a < b) && !keys.contains(&""));
        assert!(entries.iter().all(|(_, value)| !value.is_empty()));
    }
    let (mut edited, mut map) = (Edited::new(Vec::new()), BTreeMap::new());
    for change in data.chunks(3).take(64) {
        let key = ["a", "ab", "b", "\u{e9}"][usize::from(change[0] % 4)];
        let value = change
            .get(1)
            .map(|&len| vec![change[0]; usize::from(len) * 65 + 1]);
        let len = edited.change(key, value.as_deref());
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(key),
        };
        assert_eq!(edited.get(key), map.get(key).map(Vec::as_slice));
        // most of the time, several changes come before the entries are sorted
        if change[0] & 4 != 0 {
            continue;
        }
        edited.sort();
        let bytes = edited.sorted().as_bytes();
        assert_eq!(bytes.len(), len);
        let entries = Entries::parse(bytes).expect("canonical");
        assert!(
            entries
                .iter()
                .eq(map.iter().map(|(key, value)| (*key, &value[..])))
        );
    }
}

/// Reads three variables, separated by NUL, as the configuration of keys.
///
/// The result is a key ring, or an error that contains none of the values.
pub fn secret(data: &[u8]) {
    let values: Vec<String> = data
        .splitn(3, |&byte| byte == 0)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    let names = [
        "SESSION_SECRET",
        "SESSION_SECRET_FALLBACKS",
        "SESSION_ENCRYPTION_KEY",
    ];
    let lookup = |name: &str| {
        let at = names.iter().position(|known| *known == name)?;
        values
            .get(at)
            .filter(|value| !value.is_empty())
            .map(Into::into)
    };
    match key_ring(&lookup) {
        Ok(_) => {
            let long = |value: &String| value.as_bytes().trim_ascii().len() >= Secret::MIN_LEN;
            let is_set = |n: usize| values.get(n).is_some_and(long);
            assert!(
                is_set(0) != is_set(2),
                "exactly one of the two variables is a secret"
            );
        }
        Err(error) => {
            let text = format!("{error} {error:?}");
            // our messages are ASCII, so other characters would come from a value
            assert!(text.is_ascii() && text.contains('`'));
            let leaks = |value: &String| value.len() >= 32 && text.contains(value.as_str());
            assert!(!values.iter().any(leaks));
        }
    }
}

/// A handler. Its number selects what it does with the session.
#[derive(Clone, Copy)]
struct Handler(u8);

impl Handler {
    const UNTOUCHED: u8 = 0;

    fn act(self, session: &Session) {
        match self.0 {
            1 => drop(session.get::<u64>("n")),
            // this fails if the session becomes too large; the checks of the response allow for it
            2 => drop(session.insert("n", 7)),
            3 => session.login("ada").expect("short"),
            4 => session.logout(),
            5 => session.renew(),
            6 => session.clear(),
            _ => session.remember(std::time::Duration::from_secs(600)),
        }
    }
}

impl Service<Request<()>> for Handler {
    type Response = Response<Vec<u8>>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// The body is the list of the session's keys, or `untouched`.
    fn call(&mut self, request: Request<()>) -> Self::Future {
        let handler = *self;
        Box::pin(async move {
            let mut saw = String::from("untouched");
            if handler.0 != Self::UNTOUCHED {
                let session = Session::from_extensions(request.extensions()).await;
                let session = session.expect("a bad cookie is not an error");
                saw = session.keys().join(" ");
                handler.act(&session);
            }
            Ok(Response::new(saw.into_bytes()))
        })
    }
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("these futures never wait"),
    }
}

/// Handles a whole request. Each line of the input is a `Cookie` header. The first byte selects the
/// handler, and whether there is also a genuine cookie.
///
/// The status is always 200. The handler sees the genuine session, unless there is another cookie
/// of ours with a known key. Only a change sets a cookie, and that cookie opens to the changed
/// session. An untouched session adds no headers.
pub fn layer(data: &[u8]) {
    static LAYER: OnceLock<SessionLayer> = OnceLock::new();
    let layer = LAYER.get_or_init(|| {
        let moment = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range");
        let builder = SessionLayer::builder(ring()).clock(TestClock::at(moment));
        builder.build().expect("the defaults are valid")
    });
    let (kind, rest) = choice(data);
    let (handler, has_genuine) = (Handler(kind & 7), kind & 8 != 0);
    let lines = rest.split(|&byte| byte == b'\n');
    let mut headers: HeaderMap = lines
        .filter_map(|line| Some((COOKIE, HeaderValue::from_bytes(line).ok()?)))
        .collect();
    let is_known = |token: &&[u8]| {
        let opened = seal::open(&genuine().keys, b"", token);
        !matches!(
            opened,
            Err(Unsealed::Garbage | Unsealed::Version | Unsealed::UnknownKey(_))
        )
    };
    let mut others = headers
        .values()
        .flat_map(|line| plain_tokens(line.as_bytes(), layer.cookie_name()));
    let no_conflict = !others.any(|token| is_known(&token));
    if has_genuine {
        // a session that an earlier run ended is no longer accepted, so each run makes its own
        let session = testing::session(layer);
        session.insert("genuine", 1).expect("small");
        let cookie = testing::cookie(layer, &session).expect("entropy");
        headers.append(COOKIE, cookie);
    }
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let response = ready(layer.layer(handler).call(request)).expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let touched = handler.0 != Handler::UNTOUCHED;
    let saw_genuine = response.body() == b"genuine";
    if no_conflict {
        let wanted: &[u8] = match (touched, has_genuine) {
            (false, _) => b"untouched",
            (true, true) => b"genuine",
            (true, false) => b"",
        };
        assert_eq!(response.body(), wanted);
    }
    let headers = response.headers();
    assert_eq!(headers.contains_key(VARY), touched);
    assert_eq!(headers.contains_key(CACHE_CONTROL), touched);
    let set: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert!(set.len() <= 1);
    let removes = set
        .first()
        .is_some_and(|line| line.as_bytes().starts_with(b"__Host-Http-session=;"));
    let received = testing::received(layer, headers);
    // entries that the handler saw are still there
    let keeps = |received: &Session| received.contains_key("genuine") == saw_genuine;
    assert!(received.as_ref().is_none_or(keeps));
    match handler.0 {
        0 | 1 => assert!(set.is_empty()),
        2 => assert_eq!(
            received.and_then(|s| s.get::<u8>("n").expect("a number")),
            Some(7)
        ),
        3 => assert_eq!(received.and_then(|s| s.owner()).as_deref(), Some("ada")),
        4 => assert!(removes),
        6 if no_conflict => assert_eq!(removes, saw_genuine),
        _ if no_conflict => assert_eq!(received.is_some(), saw_genuine),
        _ => {}
    }
}

/// Handles a request with a cookie of the legacy app. The first byte selects the mode, and whether
/// the legacy secret signs the input.
///
/// The status is always 200. An unsigned value gives no entries. A signed JSON object gives its
/// entries. A cookie that is set opens again.
#[cfg(feature = "starlette")]
pub fn legacy(data: &[u8]) {
    use crate::{
        SignedSessionLayer,
        compat::{Format as _, LegacyCookie, Starlette},
        service::SessionService,
    };
    use std::time::Duration;

    let day = Duration::from_secs(24 * 3600);
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range");
    let starlette = || Starlette::new(["old"]).expect("a secret");
    let (kind, rest) = choice(data);
    let mut value = rest.to_vec();
    let signed = kind & 4 != 0;
    if signed {
        let json = String::from_utf8_lossy(rest);
        value = starlette().seal(&json, now).into_bytes();
    }
    let mut line = b"session=".to_vec();
    line.extend_from_slice(&value);
    let Ok(line) = HeaderValue::from_bytes(&line) else {
        return;
    };
    let cookie = LegacyCookie::new(starlette(), day);
    let clock = TestClock::at(now);
    let sealed = SessionLayer::builder(ring())
        .clock(clock.clone())
        .idle_timeout(day)
        .absolute_timeout(day);
    let handler = Handler(if kind & 8 != 0 { 2 } else { 1 });
    let mut service: SessionService<Handler> = match kind & 3 {
        0 => {
            let layer = SignedSessionLayer::with_clock(cookie, clock).expect("valid settings");
            layer.layer(handler)
        }
        1 => {
            let layer = sealed.dual_write(cookie, now + day).build();
            layer.expect("valid settings").layer(handler)
        }
        _ => {
            let layer = sealed.migrate(cookie, now + day).build();
            layer.expect("valid settings").layer(handler)
        }
    };
    let mut request = Request::new(());
    request.headers_mut().append(COOKIE, line);
    let response = ready(service.call(request)).expect("infallible");
    let headers = response.headers();
    let set: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(response.status(), StatusCode::OK);
    let json = String::from_utf8_lossy(rest);
    let keys: Option<BTreeMap<String, serde::de::IgnoredAny>> = serde_json::from_str(&json).ok();
    let keys = keys.unwrap_or_default().into_keys();
    let keys: Vec<_> = keys.filter(|key| (1..=255).contains(&key.len())).collect();
    let saw = std::str::from_utf8(response.body()).expect("keys are text");
    // `IgnoredAny` accepts half a surrogate pair, because it skips strings without decoding them
    let wanted = if signed {
        keys.join(" ")
    } else {
        String::new()
    };
    assert!(
        saw == wanted || saw.is_empty() && json.to_ascii_lowercase().contains("\\ud"),
        "{saw:?} {wanted:?}"
    );
    for line in set {
        let line = line.to_str().expect("ASCII");
        let (pair, _) = line.split_once(';').expect("attributes");
        assert!(pair.len() <= 4096);
        let Some(value) = pair
            .strip_prefix("session=")
            .filter(|value| !value.is_empty())
        else {
            continue;
        };
        let opened = starlette().open(value.as_bytes()).expect("it opens");
        let whole: BTreeMap<String, serde::de::IgnoredAny> =
            serde_json::from_slice(&opened.json).expect("an object");
        assert!(handler.0 != 2 || whole.contains_key("n") || rest.len() > 2000);
        assert!(saw != wanted || keys.len() <= whole.len() || !signed);
    }
}

/// Builds a layer with arbitrary settings.
///
/// The result is an error that names a setting, or a layer whose cookies have exactly the chosen
/// attributes.
pub fn set_cookie(data: &[u8]) {
    let (flags, rest) = choice(data);
    let (more, rest) = choice(rest);
    let texts: Vec<_> = rest
        .splitn(3, |&byte| byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    let text = |n: usize| texts.get(n).filter(|text| !text.is_empty());
    let mut builder = SessionLayer::builder(ring());
    builder = text(0)
        .into_iter()
        .fold(builder, |builder, name| builder.name(&**name));
    builder = text(1)
        .into_iter()
        .fold(builder, |builder, path| builder.path(&**path));
    builder = text(2)
        .into_iter()
        .fold(builder, |builder, domain| builder.domain(&**domain));
    let same_site = [SameSite::Lax, SameSite::Strict, SameSite::None][usize::from(flags % 3)];
    let (partitioned, insecure) = (more & 1 != 0, more & 2 != 0);
    builder = builder.same_site(same_site).partitioned(partitioned);
    builder = builder.browser_session(more & 4 != 0);
    builder = if insecure {
        builder.insecure_http()
    } else {
        builder
    };
    builder = match more >> 4 {
        0..4 => builder,
        4..6 => builder.prefix(Prefix::Host),
        6..8 => builder.prefix(Prefix::HostHttp),
        8..12 => builder.prefix(Prefix::Secure),
        _ => builder.prefix(Prefix::None),
    };
    let layer = match builder.build() {
        Ok(layer) => layer,
        Err(error) => {
            let known = [
                "name",
                "path",
                "domain",
                "prefix",
                "same_site",
                "partitioned",
            ];
            let text = error.to_string();
            let text = text.strip_prefix("invalid ").unwrap_or(&text);
            return assert!(
                known
                    .iter()
                    .any(|setting| text.starts_with(&format!("`{setting}`")))
            );
        }
    };
    let name = layer.cookie_name();
    let mut wanted = vec!["HttpOnly".to_owned(), format!("SameSite={same_site}")];
    wanted.push(format!("Path={}", text(1).map_or("/", |path| path)));
    wanted.extend(
        text(2).map(|domain| format!("Domain={}", domain.strip_prefix('.').unwrap_or(domain))),
    );
    wanted.extend((!insecure).then(|| "Secure".to_owned()));
    wanted.extend(partitioned.then(|| "Partitioned".to_owned()));
    wanted.sort();
    let send = |act: u8| -> HeaderValue {
        let response = ready(layer.layer(Handler(act)).call(Request::new(()))).expect("infallible");
        response.headers().get(SET_COOKIE).expect("one").clone()
    };
    for (act, empty) in [(2, false), (4, true)] {
        let header = send(act);
        assert!(
            header.is_sensitive()
                && header
                    .as_bytes()
                    .iter()
                    .all(|byte| matches!(byte, 0x20..0x7f))
        );
        let line = header.to_str().expect("ASCII");
        let (pair, attributes) = line.split_once("; ").expect("attributes");
        let value = pair
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='));
        assert_eq!(value.expect("our name").is_empty(), empty);
        assert!(pair.len() <= 4096 && !name.contains(['=', ';', ' ']));
        let is_age = |part: &&str| part.starts_with("Max-Age=") || part.starts_with("Expires=");
        let mut parts: Vec<&str> = attributes
            .split("; ")
            .filter(|part| !is_age(part))
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, wanted);
    }
}

/// The type of a target.
pub type Target = fn(&[u8]);

/// All targets, with the names of their folders in `tests/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("token", token),
    ("base64", base64),
    ("cookie_header", cookie_header),
    ("record", record),
    ("secret", secret),
    ("layer", layer),
    ("set_cookie", set_cookie),
    #[cfg(feature = "starlette")]
    ("legacy", legacy),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// This needs neither a fuzzer nor a nightly compiler.
    #[test]
    fn all_inputs_in_the_corpora_pass() {
        for (name, target) in TARGETS {
            let folder = format!("{}/tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let files =
                std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
            let mut count = 0;
            for file in files {
                let path = file.expect("an entry").path();
                target(&std::fs::read(&path).expect("a file"));
                count += 1;
            }
            assert!(count >= 10, "{folder} has only {count} files");
        }
    }
}
