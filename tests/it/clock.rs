//! Clock changes: steps forward and back, large steps, and times before 1970, to the millisecond.

use std::time::Duration;

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use time::OffsetDateTime;
use tower_sealed_session::{Error, Session, SessionLayer, SessionLayerBuilder, testing::TestClock};

use crate::support::{Answer, Events, Visitor, keys};

/// Milliseconds.
type Millis = i64;
const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;
const YEAR: Millis = 365 * DAY;

/// When the sessions of most cases begin: 2027-01-15 08:00.
const START: Millis = 1_800_000_000 * SECOND;
/// 9999-12-31 23:59:59.999, the maximum of the crate `time`.
const LAST: Millis = 253_402_300_799_999;
/// `u32::MAX` seconds, about 136 years.
const LONGEST: Millis = u32::MAX as Millis * SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Accepted; no cookie is sent.
    Valid,
    /// Accepted; a cookie is sent with this `Max-Age`.
    Sent(i64),
    /// The cookie is removed.
    Removed,
    /// Treated as anonymous, with this event.
    Rejected(&'static str),
    /// The response is 500, with the event `failed`.
    Failed,
}

use Outcome::{Failed, Rejected, Removed, Sent, Valid};

const EXPIRED: Outcome = Rejected("rejected expired");
const FUTURE: Outcome = Rejected("rejected future");
const NO_CLOCK: Outcome = Rejected("clock");

fn moment(millis: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).expect("in range")
}

fn duration(millis: Millis) -> Duration {
    Duration::from_millis(millis.try_into().expect("not negative"))
}

async fn act(session: &Session, what: &str) -> Result<(), Error> {
    match what {
        "insert" => session.insert("n", session.get::<u32>("n")?.unwrap_or(0) + 1)?,
        "login" => session.login("ada")?,
        "renew" => session.renew(),
        "logout" => session.logout(),
        "remember-7d" => session.remember(duration(7 * DAY)),
        "remember-60d" => session.remember(duration(60 * DAY)),
        "remember-ever" => session.remember(Duration::MAX),
        _ => {}
    }
    Ok(())
}

struct Scene {
    app: Router,
    clock: TestClock,
    events: Events,
}

impl Scene {
    fn new(settings: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder) -> Self {
        let clock = TestClock::at(moment(START));
        let builder = SessionLayer::builder(keys()).clock(clock.clone());
        let layer = settings(builder).build().expect("valid settings");
        let steps = clock.clone();
        // opens the session, then the clock steps, then acts
        let handler = move |session: Session, Path((what, then)): Path<(String, Millis)>| async move {
            let known = session.len() + usize::from(session.owner().is_some()) > 0;
            steps.set(moment(then));
            act(&session, &what).await.map(|()| known.to_string())
        };
        Self {
            app: Router::new()
                .route("/{what}/{then}", get(handler))
                .layer(layer),
            clock,
            events: Events::capture(),
        }
    }

    /// A request whose session is opened at time `open` and answered at time `then`.
    async fn request(
        &self,
        visitor: &mut Visitor,
        what: &str,
        open: Millis,
        then: Millis,
    ) -> Answer {
        self.events.drain();
        self.clock.set(moment(open));
        visitor.get(&self.app, &format!("/{what}/{then}")).await
    }

    /// A visitor after these requests, each at its time.
    async fn visitor(&self, history: &[(&str, Millis)]) -> Visitor {
        let mut visitor = Visitor::default();
        for (what, at) in history {
            let answer = self.request(&mut visitor, what, *at, *at).await;
            assert_eq!(answer.status, StatusCode::OK);
        }
        visitor
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        let events = self.events.drain();
        let has_event = |name: &str| events.iter().any(|event| event == name);
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            assert!(
                answer.sets_nothing() && has_event("failed"),
                "{answer:?} {events:?}"
            );
            return Failed;
        }
        assert_eq!(answer.status, StatusCode::OK);
        if let Some(reason) = ["rejected expired", "rejected future", "clock"]
            .into_iter()
            .find(|name| has_event(name))
        {
            assert!(
                answer.sets_nothing() && answer.body == "false",
                "{answer:?}"
            );
            return Rejected(reason);
        }
        if answer.removes() {
            return Removed;
        }
        let cookies = answer.cookies();
        assert!(
            answer.body == "true" && cookies.len() <= 1,
            "{answer:?} {events:?}"
        );
        cookies.first().map_or(Valid, |cookie| {
            Sent(cookie.max_age().expect("an age").whole_seconds())
        })
    }
}

/// For each history: when the cookie is sent, relative to the start, and the outcome.
#[tokio::test]
async fn cookies_are_accepted_only_within_their_limits() {
    let mut cases = 0;
    let mut check = async |scene: Scene,
                           start: Millis,
                           history: &[(&str, Millis)],
                           table: &[(Millis, Outcome)]| {
        let history: Vec<_> = history
            .iter()
            .map(|(what, at)| (*what, start + at))
            .collect();
        let visitor = scene.visitor(&history).await;
        for (at, wanted) in table {
            // each case uses its own copy of the visitor
            let now = start + at;
            let answer = scene.request(&mut visitor.clone(), "look", now, now).await;
            assert_eq!(scene.outcome(&answer), *wanted, "{history:?}, sent at {at}");
            cases += 1;
        }
    };
    let defaults = || Scene::new(|builder| builder);

    check(
        defaults(),
        START,
        &[("insert", 0)],
        &[
            (moment_of(-9999) - START, NO_CLOCK),
            (moment_of(1) - START, NO_CLOCK),
            (-START - YEAR, NO_CLOCK),
            (-START - SECOND, NO_CLOCK),
            (-START - 1, NO_CLOCK),
            (-START, FUTURE),
            (-START + 1, FUTURE),
            (-10 * YEAR, FUTURE),
            (-YEAR, FUTURE),
            (-31 * DAY, FUTURE),
            (-DAY, FUTURE),
            (-HOUR, FUTURE),
            (-61 * SECOND, FUTURE),
            (-MINUTE - 1, FUTURE),
            (-MINUTE, Valid),
            (-MINUTE + 1, Valid),
            (-SECOND, Valid),
            (-1, Valid),
            (0, Valid),
            (1, Valid),
            (SECOND, Valid),
            (MINUTE, Valid),
            (5 * MINUTE - 1, Valid),
            (5 * MINUTE, Sent(3600)),
            (5 * MINUTE + 1, Sent(3600)),
            (54 * MINUTE - 1, Sent(3600)),
            (54 * MINUTE, Sent(3600)),
            (HOUR - SECOND, Sent(3600)),
            (HOUR - 1, Sent(3600)),
            (HOUR, EXPIRED),
            (HOUR + 1, EXPIRED),
            (HOUR + MINUTE, EXPIRED),
            (2 * HOUR, EXPIRED),
            (DAY - 1, EXPIRED),
            (DAY, EXPIRED),
            (31 * DAY, EXPIRED),
            (400 * DAY, EXPIRED),
            (10 * YEAR, EXPIRED),
            (LONGEST, EXPIRED),
            (LONGEST + YEAR, EXPIRED),
            (1000 * YEAR, EXPIRED),
            (LAST - START, EXPIRED),
        ],
    )
    .await;

    // used until 23:20, so that the absolute timeout comes before the idle timeout
    let uses: Vec<_> = (0..=28)
        .map(|n| (if n == 0 { "insert" } else { "look" }, n * 50 * MINUTE))
        .collect();
    check(
        defaults(),
        START,
        &uses,
        &[
            (-START - 1, NO_CLOCK),
            (-MINUTE, FUTURE),
            (0, FUTURE),
            (HOUR, FUTURE),
            (1399 * MINUTE - 1, FUTURE),
            (1399 * MINUTE, Valid),
            (1400 * MINUTE - 1, Valid),
            (1400 * MINUTE, Valid),
            (1405 * MINUTE - 1, Valid),
            (1405 * MINUTE, Sent(2100)),
            (1405 * MINUTE + 1, Sent(2100)),
            (1405 * MINUTE + SECOND, Sent(2099)),
            (1439 * MINUTE, Sent(60)),
            (DAY - SECOND - 1, Sent(2)),
            (DAY - SECOND, Sent(1)),
            (DAY - 1, Sent(1)),
            (DAY, EXPIRED),
            (DAY + 1, EXPIRED),
            (DAY + HOUR, EXPIRED),
            (YEAR, EXPIRED),
            (LAST - START, EXPIRED),
        ],
    )
    .await;

    check(
        defaults(),
        START,
        &[("login", 0), ("remember-7d", MINUTE)],
        &[
            (-START - 1, NO_CLOCK),
            (-1, FUTURE),
            (0, Valid),
            (MINUTE, Valid),
            (HOUR, Valid),
            (DAY, Valid),
            (6 * DAY, Valid),
            (7 * DAY - 1, Valid),
            (7 * DAY, EXPIRED),
            (7 * DAY + 1, EXPIRED),
            (30 * DAY, EXPIRED),
            (LAST - START, EXPIRED),
        ],
    )
    .await;

    check(
        defaults(),
        START,
        &[("login", 0), ("remember-60d", 0)],
        &[
            (-MINUTE - 1, FUTURE),
            (-MINUTE, Valid),
            (29 * DAY, Valid),
            (30 * DAY - 1, Valid),
            (30 * DAY, EXPIRED),
            (60 * DAY - 1, EXPIRED),
            (60 * DAY, EXPIRED),
        ],
    )
    .await;

    let never_idle = Scene::new(|builder| builder.idle_timeout(duration(DAY)));
    check(
        never_idle,
        START,
        &[("insert", 0)],
        &[
            (-MINUTE - 1, FUTURE),
            (-MINUTE, Valid),
            (HOUR, Valid),
            (DAY - 1, Valid),
            (DAY, EXPIRED),
            (DAY + 1, EXPIRED),
        ],
    )
    .await;

    // last use is stored in whole seconds: a use at 9.999 s counts as a use at 9 s
    let short = Scene::new(|builder| {
        builder
            .idle_timeout(duration(10 * SECOND))
            .absolute_timeout(duration(MINUTE))
    });
    check(
        short,
        START,
        &[("insert", 0)],
        &[
            (-MINUTE - 1, FUTURE),
            (-MINUTE, Valid),
            (0, Valid),
            (SECOND - 1, Valid),
            (SECOND, Sent(10)),
            (SECOND + 500, Sent(10)),
            (9 * SECOND, Sent(10)),
            (10 * SECOND - 1, Sent(10)),
            (10 * SECOND, EXPIRED),
            (MINUTE - 1, EXPIRED),
            (MINUTE, EXPIRED),
        ],
    )
    .await;

    let longest = || {
        Scene::new(|builder| {
            builder
                .idle_timeout(duration(LONGEST))
                .absolute_timeout(duration(LONGEST))
                .max_remember(duration(LONGEST))
        })
    };
    for what in ["insert", "remember-ever"] {
        check(
            longest(),
            START,
            &[("insert", 0), (what, 0)],
            &[
                (-MINUTE - 1, FUTURE),
                (-MINUTE, Valid),
                (0, Valid),
                (400 * DAY, Valid),
                (100 * YEAR, Valid),
                (LONGEST - 1, Valid),
                (LONGEST, EXPIRED),
                (LONGEST + 1, EXPIRED),
                (LAST - START, EXPIRED),
            ],
        )
        .await;
    }

    check(
        defaults(),
        0,
        &[("insert", 0)],
        &[
            (-YEAR, NO_CLOCK),
            (-MINUTE, NO_CLOCK),
            (-1, NO_CLOCK),
            (0, Valid),
            (5 * MINUTE - 1, Valid),
            (5 * MINUTE, Sent(3600)),
            (HOUR - 1, Sent(3600)),
            (HOUR, EXPIRED),
            (START, EXPIRED),
            (LAST, EXPIRED),
        ],
    )
    .await;

    check(
        defaults(),
        LAST - HOUR,
        &[("insert", 0)],
        &[
            (-MINUTE - 1, FUTURE),
            (-MINUTE, Valid),
            (0, Valid),
            (5 * MINUTE, Sent(3600)),
            (HOUR - 1, Sent(3600)),
            (HOUR, EXPIRED),
        ],
    )
    .await;

    assert!(cases >= 120, "{cases}");
    println!("{cases} cases");
}

fn moment_of(year: i32) -> Millis {
    let date = time::Date::from_calendar_date(year, time::Month::January, 1).expect("in range");
    date.midnight().assume_utc().unix_timestamp() * SECOND
}

/// A session that began at 0 is opened at one time and its response is made at another time.
#[tokio::test]
async fn clock_steps_during_a_request_have_the_expected_outcome() {
    let table: [(&str, Millis, Millis, Outcome); 44] = [
        // a refresh is due; it uses the time of the response
        ("look", 10 * MINUTE, 10 * MINUTE, Sent(3600)),
        ("look", 10 * MINUTE, 10 * MINUTE + 2 * SECOND, Sent(3600)),
        ("look", 10 * MINUTE, 10 * MINUTE + 2 * SECOND + 1, Valid),
        ("look", 10 * MINUTE, 30 * MINUTE, Sent(3600)),
        ("look", 10 * MINUTE, 23 * HOUR, Sent(3600)),
        ("look", 10 * MINUTE, DAY - 1, Sent(1)),
        ("look", 10 * MINUTE, DAY, Valid),
        ("look", 10 * MINUTE, 10 * YEAR, Valid),
        ("look", 10 * MINUTE, 9 * MINUTE, Sent(3600)),
        // the clock went back: `Max-Age` counts from the current time, but the sealed end is not
        // extended
        ("look", 10 * MINUTE, 0, Sent(3600)),
        ("look", 10 * MINUTE, -HOUR, Sent(7200)),
        ("look", 10 * MINUTE, -START - 1, Valid),
        // no refresh is due
        ("look", 0, 10 * MINUTE, Valid),
        ("look", 0, DAY, Valid),
        ("look", 0, -10 * YEAR, Valid),
        ("look", 0, -START - 1, Valid),
        ("look", -MINUTE, -MINUTE, Valid),
        ("insert", 0, 0, Sent(3600)),
        ("insert", 0, SECOND, Sent(3600)),
        ("insert", -MINUTE, -MINUTE, Sent(3660)),
        ("insert", 0, HOUR, Sent(3600)),
        ("insert", 0, 23 * HOUR, Sent(3600)),
        ("insert", 0, DAY - 1, Sent(1)),
        // a request that straddles the end keeps its response, and its change is dropped
        ("insert", 0, DAY, Valid),
        ("insert", 0, DAY + 1, Valid),
        ("insert", 0, 10 * YEAR, Valid),
        ("insert", 0, LAST - START, Valid),
        ("insert", 0, -HOUR, Sent(7200)),
        ("insert", 0, -START, Sent(400 * 24 * 3600)),
        ("insert", 0, -START - 1, Failed),
        ("renew", 0, HOUR, Sent(3600)),
        ("renew", 0, DAY, Valid),
        ("renew", 0, -HOUR, Sent(7200)),
        ("renew", 0, -START - 1, Failed),
        // a login starts a new life at the time the request was opened
        ("login", 0, 0, Sent(3600)),
        ("login", 50 * MINUTE, 50 * MINUTE, Sent(3600)),
        ("login", 50 * MINUTE, DAY, Sent(3000)),
        ("login", 0, DAY, Failed),
        ("login", 0, -HOUR, Sent(7200)),
        ("login", 0, -START - 1, Failed),
        ("remember-7d", 0, 7 * DAY - 1, Sent(1)),
        ("remember-7d", 0, 7 * DAY, Valid),
        // a logout needs no clock
        ("logout", 0, 10 * YEAR, Removed),
        ("logout", 0, -START - 1, Removed),
    ];
    for (what, open, then, wanted) in table {
        let scene = Scene::new(|builder| builder);
        let mut visitor = scene.visitor(&[("insert", START)]).await;
        let answer = scene
            .request(&mut visitor, what, START + open, START + then)
            .await;
        assert_eq!(
            scene.outcome(&answer),
            wanted,
            "{what}, opened at {open}, answered at {then}"
        );
    }
}

#[tokio::test]
async fn before_1970_visitors_are_anonymous_and_nothing_is_sealed() {
    for (what, wanted) in [
        ("look", StatusCode::OK),
        ("renew", StatusCode::OK),
        ("insert", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let scene = Scene::new(|builder| builder);
        let mut visitor = scene.visitor(&[("insert", START)]).await;
        let answer = scene.request(&mut visitor, what, -1, -1).await;
        assert!(answer.status == wanted && answer.sets_nothing(), "{what}");
        assert!(scene.events.drain().contains(&"clock".to_owned()));
        // nothing is sealed either if the clock is corrected before the response
        let answer = scene.request(&mut visitor, what, -1, START).await;
        assert!(answer.status == wanted && answer.sets_nothing(), "{what}");
        let answer = scene.request(&mut visitor, "look", START, START).await;
        assert_eq!(scene.outcome(&answer), Valid, "the cookie was not changed");
    }
}

/// A use recorded by a slow clock does not replace a later use recorded before.
#[tokio::test]
async fn refresh_by_a_slow_clock_does_not_shorten_a_session() {
    let scene = Scene::new(|builder| builder);
    let mut visitor = scene
        .visitor(&[("insert", START), ("look", START + 50 * MINUTE)])
        .await;
    let at = START + 56 * MINUTE;
    scene.request(&mut visitor, "look", at, START).await;
    let answer = scene
        .request(
            &mut visitor,
            "look",
            START + 70 * MINUTE,
            START + 70 * MINUTE,
        )
        .await;
    assert!(matches!(scene.outcome(&answer), Sent(_)));
}

/// A session in constant use ends a day after it began, whatever clock steps happen in between.
#[tokio::test]
async fn clock_steps_do_not_extend_sessions() {
    for step in [1, SECOND, MINUTE, HOUR, DAY, 10 * YEAR] {
        let scene = Scene::new(|builder| builder);
        let mut visitor = scene.visitor(&[("insert", START)]).await;
        let mut now = START;
        while now + 5 * MINUTE < START + DAY {
            now += 5 * MINUTE;
            for away in [now + step, now - step, now] {
                scene.request(&mut visitor, "look", away, away).await;
                let answer = scene.request(&mut visitor, "look", now, now).await;
                // to a correct clock, a refresh by a fast clock comes from the future
                let outcome = scene.outcome(&answer);
                assert!(
                    matches!(outcome, Valid | Sent(_) | FUTURE),
                    "{step} {outcome:?}"
                );
            }
        }
        let answer = scene
            .request(&mut visitor, "look", START + DAY, START + DAY)
            .await;
        assert!(matches!(scene.outcome(&answer), EXPIRED), "{step}");
    }
}
