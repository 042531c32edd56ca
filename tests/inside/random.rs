//! Random sources that fail, are stuck, or repeat in a cycle. Without randomness there is no
//! cookie, and no two different records get the same IV.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use http::{
    HeaderMap, Response, StatusCode,
    header::{COOKIE, SET_COOKIE},
};

use super::{committed, with_events};
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
    /// The number of calls of this thread's source.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn fails(_: &mut [u8]) -> Result<(), Error> {
    Err(Error::entropy(getrandom::Error::UNSUPPORTED))
}

/// Fails every third time.
fn fails_sometimes(bytes: &mut [u8]) -> Result<(), Error> {
    match CALLS.replace(CALLS.get() + 1) % 3 {
        0 => fails(bytes),
        _ => from_system(bytes),
    }
}

fn is_stuck(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}

/// Repeats the same five values.
fn repeats_in_a_cycle(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill((CALLS.replace(CALLS.get() + 1) % 5) as u8);
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

/// Handles a new visitor's request that inserts an entry.
fn insert(config: &Arc<Config>) -> Response<Vec<u8>> {
    let slot = Slot::new(config.clone(), &HeaderMap::new(), None);
    let session = slot.open_now().expect("anonymous");
    session.insert("a", 1).expect("small");
    committed(&slot, Response::new(Vec::from(*b"body")))
}

/// Whether the response is an empty 500 without a cookie.
fn is_entropy_error(response: &Response<Vec<u8>>) -> bool {
    let error = response.extensions().get::<Error>();
    response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && !response.headers().contains_key(SET_COOKIE)
        && response.body().is_empty()
        && error.is_some_and(|error| error.kind() == ErrorKind::Entropy)
}

#[test]
fn without_randomness_a_new_session_is_an_error() {
    for (ids, hedge) in [
        (fails as Source, is_stuck as Source),
        (is_stuck, fails),
        (fails, fails),
    ] {
        assert!(is_entropy_error(&insert(&config(layer(), ids, hedge))));
    }
}

/// One of the sessions is due for a refresh. The refresh is skipped without an event.
#[test]
fn without_randomness_sessions_can_be_read() {
    let clock = testing::TestClock::default();
    let keys = KeyRing::ephemeral().expect("entropy");
    let builder = SessionLayer::builder(keys).clock(clock.clone());
    let layer = builder.build().expect("valid settings");
    let session = testing::session(&layer);
    session.insert("a", 1).expect("small");
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    drop(session);
    clock.advance(std::time::Duration::from_secs(600));
    let config = config(layer, fails, fails);
    for headers in [HeaderMap::new(), HeaderMap::from_iter([(COOKIE, cookie)])] {
        let slot = Slot::new(config.clone(), &headers, None);
        slot.open_now().expect("a session").len();
        let (response, events) = with_events(|| committed(&slot, Response::new(())));
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key(SET_COOKIE));
        assert_eq!(events, "");
    }
}

/// The old id is not ended, because there is no new id.
#[test]
fn without_randomness_login_and_renewal_fail_and_keep_the_session() {
    for (ids, hedge) in [
        (fails as Source, from_system as Source),
        (from_system, fails),
    ] {
        for renew in [true, false] {
            let layer = layer();
            let session = testing::session(&layer);
            session.insert("a", 1).expect("small");
            let cookie = testing::cookie(&layer, &session).expect("a cookie");
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
            assert!(is_entropy_error(&committed(
                &slot,
                Response::new(Vec::from(*b"body"))
            )));
            let (_slot, session) = open();
            let state = session.state();
            let (incoming, flight) = (state.incoming(), state.flight());
            let head = incoming.expect("it is not ended").record.head;
            let flight = flight.expect("it is in flight");
            let ended = config
                .rules
                .ended
                .find(head.family(), head.id.serial(), Some(flight));
            assert_eq!(ended, None);
            assert_eq!(session.get::<u8>("a").expect("a number"), Some(1));
        }
    }
}

/// A cookie is complete or missing. Its id and IV are never zeros or those of an earlier cookie.
#[test]
fn a_source_that_fails_sometimes_makes_no_incomplete_cookie() {
    for (ids, hedge) in [
        (fails_sometimes as Source, from_system as Source),
        (from_system, fails_sometimes),
        (fails_sometimes, fails_sometimes),
    ] {
        let layer = layer();
        let config = config(layer, ids, hedge);
        let mut ids = HashSet::new();
        let mut failed = 0;
        for _ in 0..300 {
            let response = insert(&config);
            if is_entropy_error(&response) {
                failed += 1;
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
        assert!((100..=200).contains(&failed), "{failed}");
        assert_eq!(ids.len() + failed, 300);
    }
}

/// The IV also depends on the record and a key. A bad source reveals that two records are equal,
/// and nothing else.
#[test]
fn no_bad_source_repeats_an_iv_for_different_records() {
    let secret = Secret::unchecked("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE=");
    let keys = KeyRing::new(secret).derive(Context {
        purpose: Purpose::COOKIE,
        cookie_name: "__Host-Http-session",
        audience: "",
    });
    for (source, records) in [
        (is_stuck as Source, 100_000_u32),
        (repeats_in_a_cycle, 10_000),
    ] {
        let mut seen = BTreeMap::new();
        // the first records are sealed twice
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
