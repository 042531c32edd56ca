//! Random sources that fail, stand still or go round: no cookie without randomness, and no IV twice.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use http::{
    HeaderMap, Response, StatusCode,
    header::{COOKIE, SET_COOKIE},
};

use super::{sent, told};
use crate::{
    Error, ErrorKind, KeyRing, SessionLayer,
    key::{Context, Purpose, Secret},
    random::{Sources, from_system},
    request::{Config, Slot},
    seal::{self, HEAD_LEN, HEADROOM, RANDOM_LEN},
    testing,
};

type Source = fn(&mut [u8]) -> Result<(), Error>;

thread_local! {
    /// How often this thread's source was asked.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

fn fails(_: &mut [u8]) -> Result<(), Error> {
    Err(Error::entropy(getrandom::Error::UNSUPPORTED))
}

/// Every third time.
fn fails_at_times(bytes: &mut [u8]) -> Result<(), Error> {
    match ASKED.replace(ASKED.get() + 1) % 3 {
        0 => fails(bytes),
        _ => from_system(bytes),
    }
}

fn is_stuck(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}

/// The same five values again and again.
fn goes_round(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill((ASKED.replace(ASKED.get() + 1) % 5) as u8);
    Ok(())
}

fn layer() -> SessionLayer {
    SessionLayer::new(KeyRing::ephemeral().expect("entropy"))
}

/// The configuration of a layer with other random sources.
fn config(mut layer: SessionLayer, ids: Source, hedge: Source) -> Arc<Config> {
    layer.config_mut().rules.random = Sources { ids, hedge };
    layer.config().clone()
}

/// A new visitor's request, whose handler inserts.
fn insert(config: &Arc<Config>) -> Response<Vec<u8>> {
    let slot = Slot::new(config.clone(), &HeaderMap::new(), None);
    let session = slot.open_now().expect("anonymous");
    session.insert("a", 1).expect("small");
    sent(&slot, Response::new(Vec::from(*b"body")))
}

/// A fresh 500 that sets nothing.
fn is_refused(response: &Response<Vec<u8>>) -> bool {
    let error = response.extensions().get::<Error>();
    response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && !response.headers().contains_key(SET_COOKIE)
        && response.body().is_empty()
        && error.is_some_and(|error| error.kind() == ErrorKind::Entropy)
}

#[test]
fn without_randomness_a_new_session_is_an_error_and_no_cookie() {
    for (ids, hedge) in [
        (fails as Source, is_stuck as Source),
        (is_stuck, fails),
        (fails, fails),
    ] {
        assert!(is_refused(&insert(&config(layer(), ids, hedge))));
    }
}

/// Also those whose session is due for a refresh, which is skipped in silence.
#[test]
fn without_randomness_readers_are_served() {
    let clock = testing::TestClock::default();
    let keys = KeyRing::ephemeral().expect("entropy");
    let builder = SessionLayer::builder(keys).clock(clock.clone());
    let layer = builder.build().expect("possible");
    let session = testing::session(&layer);
    session.insert("a", 1).expect("small");
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    drop(session);
    clock.advance(std::time::Duration::from_secs(600));
    let config = config(layer, fails, fails);
    for headers in [HeaderMap::new(), HeaderMap::from_iter([(COOKIE, cookie)])] {
        let slot = Slot::new(config.clone(), &headers, None);
        slot.open_now().expect("a session").len();
        let (response, told) = told(|| sent(&slot, Response::new(())));
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key(SET_COOKIE));
        assert_eq!(told, "");
    }
}

/// And the old id is not ended for a new one that never was.
#[test]
fn without_randomness_login_and_renewal_fail_and_the_session_stays() {
    for (ids, hedge) in [
        (fails as Source, from_system as Source),
        (from_system, fails),
    ] {
        for renew in [true, false] {
            let layer = layer();
            let session = testing::session(&layer);
            session.insert("a", 1).expect("small");
            let cookie = testing::cookie(&layer, &session).expect("a cookie");
            let id = session.id().expect("it has one");
            drop(session);
            let config = config(layer, ids, hedge);
            let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
            let open = || {
                let slot = Slot::new(config.clone(), &headers, None);
                let session = slot.open_now().expect("a session");
                (slot, session)
            };
            let (slot, session) = open();
            match renew {
                true => session.renew(),
                false => session.login("ada").expect("short"),
            }
            assert!(is_refused(&sent(&slot, Response::new(Vec::from(*b"body")))));
            assert!(!config.rules.ended.contains(id));
            assert_eq!(open().1.get::<u8>("a").expect("a number"), Some(1));
        }
    }
}

/// Either a whole cookie or none: no id and no IV of zeros, or of the time before.
#[test]
fn a_source_that_fails_at_times_makes_no_half_cookie() {
    for (ids, hedge) in [
        (fails_at_times as Source, from_system as Source),
        (from_system, fails_at_times),
        (fails_at_times, fails_at_times),
    ] {
        let layer = layer();
        let config = config(layer, ids, hedge);
        let mut ids = HashSet::new();
        let mut refused = 0;
        for _ in 0..300 {
            let response = insert(&config);
            if is_refused(&response) {
                refused += 1;
                continue;
            }
            let cookie = response.headers()[SET_COOKIE].as_bytes();
            let pair = cookie.split(|&byte| byte == b';').next().expect("a pair");
            let header = http::HeaderValue::from_bytes(pair).expect("a header");
            let slot = Slot::new(
                config.clone(),
                &HeaderMap::from_iter([(COOKIE, header)]),
                None,
            );
            let session = slot.open_now().expect("a session");
            assert_eq!(session.get::<u8>("a").expect("a number"), Some(1));
            assert!(ids.insert(session.id().expect("it has one")));
        }
        assert!((100..=200).contains(&refused), "{refused}");
        assert_eq!(ids.len() + refused, 300);
    }
}

/// The IV hangs on the record and a key as well: a source that stands still or goes round shows that two records are
/// equal, no more.
#[test]
fn no_bad_source_repeats_an_iv_for_different_records() {
    let secret = Secret::unchecked("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE=");
    let keys = KeyRing::new(secret).derive(Context {
        purpose: Purpose::COOKIE,
        cookie_name: "__Host-session",
        audience: "",
    });
    for (source, records) in [(is_stuck as Source, 100_000_u32), (goes_round, 10_000)] {
        let mut seen = BTreeMap::new();
        // each record twice, one round later
        for n in (0..records).chain(0..1000) {
            let mut random = [0; RANDOM_LEN];
            source(&mut random).expect("it does not fail");
            let bytes = [&[0; HEADROOM][..], &n.to_be_bytes(), &[0; 44]].concat();
            let bytes = seal::seal(keys.current(), b"", &random, bytes);
            let iv: [u8; 16] = bytes[5..HEAD_LEN].try_into().expect("an IV");
            let other = seen.insert(iv, (n, random));
            assert!(
                other.is_none_or(|other| other == (n, random)),
                "{n} {other:?}"
            );
        }
        assert!(seen.len() >= records as usize);
    }
}
