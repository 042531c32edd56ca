//! Secrets, and the environment variables that contain them.

use proptest::{collection::vec, prelude::*, sample::select};

use super::config;
use crate::{
    KeyRing, Secret,
    key::{Context, KeyId, Purpose, key_ring},
};

/// The formats of `openssl rand` and password managers.
fn good() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9a-f]{64}", "[A-Za-z0-9+/]{43}=", "[!-+\\--~]{40}"]
        .prop_filter("random", |text| Secret::new(text).is_ok())
}

fn ids(ring: KeyRing) -> Vec<KeyId> {
    let context = Context {
        purpose: Purpose::COOKIE,
        cookie_name: "a",
        audience: "",
    };
    ring.derive(context).ids().collect()
}

fn ring(vars: &[(&str, &str)]) -> Result<KeyRing, crate::EnvError> {
    key_ring(&|name| {
        vars.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.into())
    })
}

proptest! {
    #![proptest_config(config())]

    /// A secret that is accepted as the current one is also accepted in the list of fallbacks.
    /// Otherwise it could not be rotated.
    #[test]
    fn accepted_secrets_can_be_rotated(
        secrets in vec(good(), 1..6), before in "[ \t\r\n]{0,3}", after in "[ \t\r\n]{0,3}",
        between in select(vec![",", " ", ", ", "\n", " ,\t", ",,"]),
    ) {
        let secret = |text: &String| Secret::new(text).expect("the secret is good");
        let ring_of = |texts: &[String]| {
            texts[1..].iter().map(secret).fold(KeyRing::new(secret(&texts[0])), KeyRing::fallback)
        };
        let current = format!("{before}{}{after}", secrets[0]);
        let list = format!("{before}{}{after}", secrets[1..].join(between));
        let found = ring(&[("SESSION_SECRET", &current), ("SESSION_SECRET_FALLBACKS", &list)]);
        prop_assert_eq!(ids(found.expect("all are good")), ids(ring_of(&secrets)));
    }

    #[test]
    fn errors_do_not_contain_the_rejected_secret(text in "\\PC{0,80}|[ -~]{0,80}") {
        if let Err(reason) = Secret::new(&text) {
            let shown = format!("{reason} {reason:?}");
            let error = ring(&[("SESSION_SECRET", &text)]).err().map(|error| error.to_string());
            for part in text.as_bytes().windows(9).filter_map(|part| std::str::from_utf8(part).ok()) {
                prop_assert!(!shown.contains(part) && !error.as_ref().is_some_and(|error| error.contains(part)));
            }
        }
    }
}
