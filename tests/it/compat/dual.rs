//! Dual mode: the legacy app still runs, or may have to run again.

use super::*;
use crate::support::{Events, keys};
use tower_sealed_session::SessionLayer;

const ADA: &str = r#"{"user":"ada"}"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The legacy app answers a request at this time and sets its cookie.
fn old_app_writes(visitor: &mut Visitor, json: &str, seconds: i64) {
    visitor
        .jar
        .insert("session".to_owned(), old_value(json, seconds));
}

#[tokio::test]
async fn both_cookies_are_written_with_the_same_contents() {
    let (app, clock) = dual();
    let mut visitor = Visitor::default();
    clock.advance(Duration::from_millis(700));
    for (n, path) in ["/login?user=ada", "/set?key=a&value=b", "/renew"]
        .iter()
        .enumerate()
    {
        let answer = visitor.post(&app, path).await;
        assert_eq!(
            sets(&answer),
            ["+__Host-Http-session", "+session"],
            "{path}"
        );
        let lines = answer.header("set-cookie");
        assert!(
            lines[1].contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age=1209"),
            "{}",
            lines[1]
        );
        let (json, signed) = visitor.old().expect("one");
        assert_eq!(json, visitor.body(&app, "/").await);
        // never later than the time in our cookie, which counts seconds from its creation
        assert!((START + n as i64 * 10 - 1..=START + n as i64 * 10).contains(&signed));
        clock.advance(seconds(10));
    }
    for _ in 0..2 {
        assert!(visitor.get(&app, "/").await.sets_nothing());
    }
    // a refresh sets both cookies
    clock.advance(seconds(300));
    let answer = visitor.get(&app, "/").await;
    assert_eq!(sets(&answer), ["+__Host-Http-session", "+session"]);
    assert_eq!(visitor.old().expect("one").1, START + 330);

    let answer = visitor.post(&app, "/clear").await;
    assert_eq!(
        sets(&answer),
        ["+__Host-Http-session", "+session"],
        "the session still has an owner"
    );
    let answer = visitor.post(&app, "/logout").await;
    assert_eq!(sets(&answer), ["-__Host-Http-session", "-session"]);
    assert!(visitor.jar.is_empty());
}

#[tokio::test]
async fn later_writes_of_the_old_app_are_read_even_within_one_second() {
    let (app, clock) = dual();
    let mut visitor = with_old(ADA, START);
    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, ADA);
    assert_eq!(
        sets(&answer),
        ["+__Host-Http-session"],
        "the legacy cookie already has the contents"
    );
    for (n, wait) in [0, 0, 1, 500, 0, 1000, 9000].into_iter().enumerate() {
        clock.advance(Duration::from_millis(wait));
        let now = tower_sealed_session::Clock::now(&clock).unix_timestamp();
        let json = format!(r#"{{"n":{n},"user":"ada"}}"#);
        old_app_writes(&mut visitor, &json, now);
        for _ in 0..2 {
            assert_eq!(visitor.body(&app, "/").await, json);
        }
        visitor
            .post(&app, &format!("/set?key=ours&value={n}"))
            .await;
        let json = format!(r#"{{"n":{n},"ours":"{n}","user":"ada"}}"#);
        assert_eq!(visitor.body(&app, "/").await, json);
        assert_eq!(visitor.old().expect("one").0, json);
    }
}

#[tokio::test]
async fn clock_of_the_old_app_may_be_one_minute_behind() {
    for (behind, read) in [(1, true), (60, true), (61, false)] {
        let (app, clock) = dual();
        let mut visitor = Visitor::default();
        visitor.post(&app, "/login?user=ada").await;
        clock.advance(seconds(100));
        visitor.post(&app, "/set?key=a&value=ours").await;
        old_app_writes(
            &mut visitor,
            r#"{"a":"theirs","user":"ada"}"#,
            START + 100 - behind,
        );
        let wanted = if read { "theirs" } else { "ours" };
        let shown = visitor.body(&app, "/").await;
        assert_eq!(
            shown,
            format!(r#"{{"a":"{wanted}","user":"ada"}}"#),
            "{behind}"
        );
    }
}

/// A slow read must not make a parallel write of the legacy app look outdated.
#[tokio::test]
async fn reads_do_not_hide_parallel_writes_of_the_old_app() {
    let (app, clock) = dual();
    let mut visitor = with_old(ADA, START);
    let answer = visitor.clone().get(&app, "/").await;
    old_app_writes(&mut visitor, r#"{"n":1,"user":"ada"}"#, START + 1);
    clock.advance(seconds(5));
    visitor.keep(&answer);
    assert!(visitor.has_ours());
    assert_eq!(visitor.body(&app, "/").await, r#"{"n":1,"user":"ada"}"#);
}

#[tokio::test]
async fn logout_in_the_old_app_is_a_logout_here() {
    for migrate_after in [false, true] {
        let (app, _) = dual();
        let mut visitor = Visitor::default();
        visitor.post(&app, "/login?user=ada").await;
        let copy = visitor.clone();
        visitor.jar.remove("session");
        let app = if migrate_after { migrating().0 } else { app };
        let events = Events::capture();
        let answer = visitor.get(&app, "/").await;
        assert_eq!(answer.body, "{}");
        assert_eq!(sets(&answer), ["-__Host-Http-session"]);
        assert_eq!(answer.header("cache-control"), ["no-store"]);
        assert_eq!(events.drain(), ["legacy_logged_out", "removed"]);
        // a request in flight does not undo it
        let answer = copy.clone().post(&app, "/set?key=a&value=b").await;
        assert!(answer.sets_nothing());
        for first in ["/set?key=csrf&value=1", "/logout"] {
            let (app, _) = dual();
            let mut visitor = Visitor::default();
            visitor.post(&app, "/login?user=ada").await;
            let copy = visitor.clone();
            visitor.jar.remove("session");
            visitor.post(&app, first).await;
            let late = copy.clone().post(&app, "/set?key=a&value=b").await;
            assert!(late.sets_nothing(), "{first}");
        }
        // if the legacy app removes the user only, the visitor is logged out here too
        let (app, _) = dual();
        let mut visitor = Visitor::default();
        visitor.post(&app, "/login?user=ada").await;
        old_app_writes(&mut visitor, r#"{"lang":"en"}"#, START);
        assert_eq!(visitor.body(&app, "/owner").await, "");
        assert_eq!(visitor.body(&app, "/").await, r#"{"lang":"en"}"#);
    }
}

#[tokio::test]
async fn login_in_the_old_app_is_a_login_here_with_a_new_id() {
    let (app, clock) = dual();
    let mut visitor = Visitor::default();
    visitor.post(&app, "/set?key=lang&value=en").await;
    let before = visitor.body(&app, "/id").await;
    clock.advance(seconds(60));
    old_app_writes(&mut visitor, r#"{"lang":"en","user":"ada"}"#, START + 60);
    assert_eq!(visitor.body(&app, "/owner").await, "ada");
    assert_ne!(visitor.body(&app, "/id").await, before);
    assert_eq!(
        visitor.body(&app, "/created").await,
        (START + 60).to_string()
    );
    // a login of another user starts another session
    clock.advance(seconds(60));
    old_app_writes(&mut visitor, r#"{"user":"bob"}"#, START + 120);
    assert_eq!(visitor.body(&app, "/owner").await, "bob");
    // a write of the same user keeps the session
    let (id, created) = (visitor.body(&app, "/id").await, START + 120);
    clock.advance(seconds(60));
    old_app_writes(&mut visitor, r#"{"n":1,"user":"bob"}"#, START + 180);
    assert_eq!(visitor.body(&app, "/id").await, id);
    assert_eq!(visitor.body(&app, "/created").await, created.to_string());
}

/// A host of the same domain may plant a legacy cookie of someone else. It is not mixed with the
/// current session.
#[tokio::test]
async fn old_cookie_without_known_owner_is_not_merged_into_a_login() {
    let (builder, _) = builder();
    let layer = builder.dual_write(old_cookie(), moment(START) + DAY);
    let app = app().layer(layer.build().expect("valid settings"));
    let mut visitor = Visitor::default();
    visitor.post(&app, "/login?user=ada").await;
    assert_eq!(visitor.body(&app, "/owner").await, "ada");
    old_app_writes(&mut visitor, r#"{"role":"planted"}"#, START + 1);
    assert_eq!(visitor.body(&app, "/owner").await, "");
}

#[tokio::test]
async fn use_of_the_old_app_keeps_the_session_alive() {
    let (builder, clock) = builder();
    let builder = builder.idle_timeout(seconds(3600));
    let layer = builder.dual_write(old_cookie().owner(user), moment(START) + 30 * DAY);
    let app = app().layer(layer.build().expect("valid settings"));
    let mut visitor = Visitor::default();
    visitor.post(&app, "/login?user=ada").await;
    let created = visitor.body(&app, "/created").await;
    // Starlette before 1.0 signs the cookie again with each response
    for n in 1..=4 {
        clock.advance(seconds(3000));
        let json = visitor.old().expect("one").0;
        old_app_writes(&mut visitor, &json, START + 3000 * n);
    }
    // ours was sealed more than an hour ago; it is set again
    let answer = visitor.get(&app, "/owner").await;
    assert_eq!(answer.body, "ada");
    assert_eq!(sets(&answer), ["+__Host-Http-session"]);
    assert_eq!(visitor.body(&app, "/created").await, created);
}

/// Both cookies expire to the millisecond, even in a browser that ignores `Max-Age`.
#[tokio::test]
async fn visitor_is_anonymous_after_the_idle_timeout_with_either_cookie() {
    for offset in [0, 1, 400, 999] {
        let (builder, clock) = builder();
        clock.advance(Duration::from_millis(offset));
        let builder = builder.idle_timeout(seconds(60));
        let layer = builder.dual_write(old_cookie().owner(user), moment(START) + 30 * DAY);
        let app = app().layer(layer.build().expect("valid settings"));
        let mut visitor = Visitor::default();
        visitor.post(&app, "/login?user=ada").await;
        clock.advance(Duration::from_millis(2300));
        visitor.post(&app, "/set?key=a&value=b").await;
        let alive = clock.clone();
        clock.advance(Duration::from_millis(58_000));
        assert_eq!(visitor.clone().body(&app, "/owner").await, "ada");
        alive.advance(Duration::from_millis(2000));
        for kept in [&["session", OURS][..], &["session"], &[OURS]] {
            let mut visitor = visitor.clone();
            visitor.jar.retain(|name, _| kept.contains(&&**name));
            let answer = visitor.get(&app, "/").await;
            assert_eq!(answer.body, "{}", "{offset} {kept:?}");
            assert!(answer.sets_nothing());
        }
    }
}

/// The legacy app keeps signing its cookie again. Our session still ends a day after its beginning
/// if both cookies are sent. Both cookies that we set have the same `Max-Age`.
#[tokio::test]
async fn absolute_timeout_holds_although_the_old_app_keeps_signing() {
    let (builder, clock) = builder();
    let builder = builder.idle_timeout(seconds(3600)).absolute_timeout(DAY);
    let layer = builder.dual_write(old_cookie().owner(user), moment(START) + 30 * DAY);
    let app = app().layer(layer.build().expect("valid settings"));
    let mut visitor = Visitor::default();
    visitor.post(&app, "/login?user=ada").await;
    for n in 1..48 {
        clock.advance(seconds(1800));
        old_app_writes(&mut visitor, ADA, START + 1800 * n);
        let answer = visitor.get(&app, "/owner").await;
        assert_eq!(answer.body, "ada", "{n}");
        let ages = answer
            .cookies()
            .iter()
            .map(|cookie| cookie.max_age())
            .collect::<Vec<_>>();
        assert!(ages.windows(2).all(|two| two[0] == two[1]), "{ages:?}");
    }
    clock.advance(seconds(1800));
    old_app_writes(&mut visitor, ADA, START + 86_400);
    assert_eq!(visitor.body(&app, "/owner").await, "");
}

/// Cookies left by other instances during a rolling migration.
#[tokio::test]
async fn missing_old_cookie_of_other_instances_is_no_logout() {
    let (dual, clock) = dual();
    let plain = SessionLayer::builder(keys()).clock(clock.clone());
    let plain = plain.idle_timeout(FORTNIGHT).absolute_timeout(FORTNIGHT);
    let plain = app().layer(plain.build().expect("valid settings"));
    let layer = SessionLayer::builder(keys()).clock(clock.clone());
    let layer = layer.idle_timeout(FORTNIGHT).absolute_timeout(FORTNIGHT);
    let layer = layer.migrate(old_cookie().owner(user), moment(START) + DAY);
    let migrating = app().layer(layer.build().expect("valid settings"));

    let mut visitor = Visitor::default();
    visitor.post(&dual, "/login?user=ada").await;
    // the migrating instance reads the session; its first write removes the legacy cookie
    assert_eq!(visitor.body(&migrating, "/owner").await, "ada");
    let answer = visitor.post(&migrating, "/set?key=a&value=1").await;
    assert_eq!(sets(&answer), ["+__Host-Http-session", "-session"]);
    // a dual instance then keeps the session and sets the legacy cookie again
    let answer = visitor.get(&dual, "/").await;
    assert_eq!(answer.body, r#"{"a":"1","user":"ada"}"#);
    assert_eq!(sets(&answer), ["+__Host-Http-session", "+session"]);
    assert_eq!(visitor.old().expect("one").0, answer.body);
    assert!(visitor.get(&dual, "/").await.sets_nothing());

    // a plain instance writes our cookie only, so the old one is stale
    clock.advance(seconds(2));
    visitor.post(&plain, "/set?key=a&value=2").await;
    assert_eq!(visitor.old().expect("one").0, r#"{"a":"1","user":"ada"}"#);
    let answer = visitor.get(&dual, "/").await;
    assert_eq!(answer.body, r#"{"a":"2","user":"ada"}"#);
    assert_eq!(sets(&answer), ["+__Host-Http-session", "+session"]);
    assert_eq!(visitor.old().expect("one").0, answer.body);

    // if the legacy cookie already has the same contents, only ours is set, and only once
    let mut equal = visitor;
    equal.jar.remove("session");
    equal.post(&plain, "/set?key=a&value=equal").await;
    old_app_writes(&mut equal, r#"{"a":"equal","user":"ada"}"#, START + 2);
    assert_eq!(sets(&equal.get(&dual, "/").await), ["+__Host-Http-session"]);
    assert!(equal.get(&dual, "/").await.sets_nothing());
    equal.jar.remove("session");
    assert_eq!(equal.body(&dual, "/").await, "{}");
}

/// The old cookie is present but cannot be opened. The legacy app may have a new secret.
#[tokio::test]
async fn unreadable_old_cookie_is_no_logout_and_is_not_replaced() {
    let (app, _) = dual();
    let mut visitor = Visitor::default();
    visitor.post(&app, "/login?user=ada").await;
    let good = visitor.jar["session"].clone();
    for bad in [
        &good[1..],
        "x",
        "a.b.c",
        &old_value("[1]", START),
        &old_value(ADA, START - 99 * 86_400),
    ] {
        visitor.jar.insert("session".to_owned(), bad.to_owned());
        let answer = visitor.get(&app, "/owner").await;
        assert_eq!(answer.body, "ada", "{bad}");
        assert!(answer.sets_nothing());
    }
}

#[tokio::test]
async fn after_the_end_date_only_our_cookie_is_used() {
    let (builder, clock) = builder();
    let layer = builder.dual_write(old_cookie().owner(user), moment(START) + DAY);
    let app = app().layer(layer.build().expect("valid settings"));
    let mut visitor = Visitor::default();
    visitor.post(&app, "/login?user=ada").await;
    clock.advance(DAY);
    visitor.jar.remove("session");
    assert_eq!(visitor.body(&app, "/owner").await, "ada");
    let answer = visitor.post(&app, "/set?key=a&value=b").await;
    assert_eq!(sets(&answer), ["+__Host-Http-session"]);
    assert_eq!(with_old(ADA, START + 86_400).body(&app, "/").await, "{}");
}

/// A change must fit both cookies.
#[tokio::test]
async fn changes_too_large_for_the_old_cookie_are_refused() {
    let (app, _) = dual();
    let mut visitor = Visitor::default();
    // JSON escapes each quote with one more byte; the legacy cookie also quotes the key
    let fits = |n: usize| format!("/set?key={}&value={}", "%22".repeat(200), "x".repeat(n));
    let mut largest = 0;
    for n in (2000..3000).rev() {
        let answer = visitor.post(&app, &fits(n)).await;
        if answer.status == 200 {
            largest = n;
            break;
        }
        assert!(answer.sets_nothing());
    }
    assert!(largest > 2000);
    let pair = "session".len() + visitor.jar["session"].len();
    assert!((4088..=4096).contains(&pair), "{pair}");
    assert_eq!(visitor.old().expect("one").0, visitor.body(&app, "/").await);
}

/// Both removals of an inner logout are sent even if an outer layer cannot save its session.
#[tokio::test]
async fn both_cookies_are_removed_when_an_outer_layer_fails() {
    let (builder, clock) = builder();
    let inner = builder.dual_write(old_cookie().owner(user), moment(START) + DAY);
    let outer = SessionLayer::builder(keys())
        .name("outer")
        .clock(clock.clone());
    let handler = move |session: Session, extensions: axum::http::Extensions| {
        let clock = clock.clone();
        async move {
            session.logout();
            Session::named(&extensions, "__Host-Http-outer")
                .await?
                .insert("a", 1)?;
            clock.set(moment(-1));
            Ok::<_, Error>(())
        }
    };
    let app = Router::new()
        .route("/", get(handler))
        .layer(inner.build().expect("valid settings"))
        .layer(outer.build().expect("valid settings"));
    let answer = with_old(r#"{"user":"ada","out":1}"#, START)
        .get(&app, "/")
        .await;
    assert_eq!(answer.status, 500);
    assert_eq!(sets(&answer), ["-__Host-Http-session", "-session"]);
}

/// Browsers drop the legacy cookie after the old `max_age`. From then on its absence is no logout.
#[tokio::test]
async fn session_outlives_the_old_cookie() {
    let (builder, clock) = builder();
    let layer = builder.dual_write(old_cookie().owner(user), moment(START) + 90 * DAY);
    let remember = post(async |session: Session| session.remember(30 * DAY));
    let app = app().route("/remember", remember);
    let app = app.layer(layer.build().expect("valid settings"));
    for (days, owner) in [(13, ""), (15, "ada")] {
        let mut visitor = Visitor::default();
        clock.set(moment(START));
        visitor.post(&app, "/login?user=ada").await;
        visitor.post(&app, "/remember").await;
        visitor.jar.remove("session");
        clock.advance(days * DAY);
        let answer = visitor.get(&app, "/owner").await;
        assert_eq!(answer.body, owner, "{days}");
        if owner == "ada" {
            assert_eq!(sets(&answer), ["+__Host-Http-session", "+session"]);
            assert_eq!(visitor.old().expect("one").1, START + 15 * 86_400);
        }
    }
}

#[tokio::test]
async fn old_cookie_has_no_max_age_if_either_is_a_browser_session() {
    for (ours, theirs) in [(true, false), (false, true)] {
        let (builder, _) = builder();
        let old = old_cookie().owner(user).browser_session(theirs);
        let layer = builder
            .browser_session(ours)
            .dual_write(old, moment(START) + DAY);
        let app = app().layer(layer.build().expect("valid settings"));
        let answer = Visitor::default().post(&app, "/login?user=ada").await;
        let lasts: Vec<_> = answer
            .cookies()
            .iter()
            .map(|c| c.max_age().is_some())
            .collect();
        assert_eq!(lasts, [!ours, false]);
    }
}

/// A faster request may have written to either cookie in the meantime.
#[tokio::test]
async fn slow_read_sets_no_cookie() {
    for (millis, set) in [(2000, true), (2001, false)] {
        let until = moment(START) + DAY;
        for dual in [true, false] {
            let (builder, clock) = builder();
            let layer = match dual {
                true => builder.dual_write(old_cookie(), until),
                false => builder.migrate(old_cookie(), until),
            };
            let slow = get(async move |session: Session| {
                clock.advance(Duration::from_millis(millis));
                session.len().to_string()
            });
            let app = Router::new().route("/", slow);
            let app = app.layer(layer.build().expect("valid settings"));
            let answer = with_old(r#"{"slow":1}"#, START).get(&app, "/").await;
            assert_eq!(
                (&*answer.body, !answer.sets_nothing()),
                ("1", set),
                "{millis} {dual}"
            );
        }
    }
}

/// The newest valid cookie counts, in any position.
#[tokio::test]
async fn garbage_before_an_old_cookie_does_not_hide_it() {
    let (app, _) = migrating();
    let good = format!("session={}", old_value(r#"{"front":1}"#, START));
    let mut line = (0..40)
        .map(|n| format!("session=x{n}; "))
        .collect::<String>();
    line.push_str(&good);
    let answer = crate::support::get_with(&app, "/", &[line.as_bytes()]).await;
    assert_eq!(answer.body, r#"{"front":1}"#);
}
