//! The scenarios, and what each of them begins with.

use std::{fmt, time::Duration};

use axum::http::HeaderValue;
use tower_sealed_session::{
    Clock as _, Error, KeyRing, OffsetDateTime, Revocations, Secret, Session, SessionLayer,
    SessionLayerBuilder,
    testing::{self, TestClock},
    tools::{self, Import, ImportFound},
};

use crate::{
    gate::Gate,
    requests::{Kind, visit},
};

const NO_COOKIE: HeaderValue = HeaderValue::from_static("");

/// The secrets, the old one first.
const SECRETS: [&str; 2] = [
    "k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE=",
    "QmZ4c1l0d3hHb2pTa3VqN3BFd2V5bE5pRlR4c2tBnO0=",
];

/// Where the session of the browser is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cookie {
    Ticket,
    /// A ticket, with the row in the old store.
    Old,
    /// A layer without a store made it.
    Inline,
    /// The same, and there is a log of revocations instead of a store.
    Revocable,
    /// The cookie of an old system, with an id that was imported.
    OldId,
}

/// The instances that the actors reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instances {
    One,
    /// One for each request.
    Each,
    /// One for each request, while the secret is changed: every other one seals with the new one.
    Rotating,
    /// One for each request, with a new store and an old one.
    Moving,
    /// As before. But for every other one, beginning with the request of that number, the old store
    /// is the new one.
    Disagreeing(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The browsers, each with the requests that it sends one after the other.
    pub(crate) browsers: Vec<Vec<Kind>>,
    pub(crate) cookie: Cookie,
    pub(crate) instances: Instances,
}

/// What a scenario begins with: ada is logged in and has a cart.
pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) instances: Vec<SessionLayer>,
    /// It knows all secrets, and nothing of what the others remember. Without the log.
    fresh: SessionLayer,
    pub(crate) cookie: HeaderValue,
}

impl Scenario {
    pub(crate) fn pairs() -> Vec<Self> {
        let all = Kind::ALL.into_iter().enumerate();
        let pairs = all.flat_map(|(n, first)| {
            Kind::ALL[n..]
                .iter()
                .map(move |&it| [vec![first], vec![it]])
        });
        pairs.flat_map(|pair| Self::with(&pair)).collect()
    }

    /// Pairs of requests with a revocable cookie. An instance knows only the entries that it adds
    /// itself, as if no instance had read the log yet.
    pub(crate) fn revocable_pairs() -> Vec<Self> {
        Self::pairs()
            .into_iter()
            .filter_map(Self::revocable)
            .collect()
    }

    pub(crate) fn revocable_triples() -> Vec<Self> {
        Self::triples()
            .into_iter()
            .filter_map(Self::revocable)
            .collect()
    }

    /// Pairs of requests with an old id, which are all in flight when the first one takes it.
    pub(crate) fn old_ids() -> Vec<Self> {
        let pairs = Self::pairs().into_iter().chain(Self::moves(true));
        let pairs = pairs.filter(|it| matches!(it.cookie, Cookie::Ticket | Cookie::Old));
        pairs
            .map(|pair| Self {
                cookie: Cookie::OldId,
                ..pair
            })
            .collect()
    }

    fn revocable(self) -> Option<Self> {
        matches!(self.cookie, Cookie::Ticket).then_some(Self {
            cookie: Cookie::Revocable,
            ..self
        })
    }

    /// Three requests with the same ticket. With inline cookies there would be many more runs.
    pub(crate) fn triples() -> Vec<Self> {
        let all = Kind::ALL.into_iter().enumerate();
        let pairs = all.flat_map(|(n, a)| (n..Kind::ALL.len()).map(move |m| (a, m)));
        let triples = pairs.flat_map(|(a, m)| {
            let third = Kind::ALL[m..].iter();
            third.map(move |&c| [vec![a], vec![Kind::ALL[m]], vec![c]])
        });
        let scenarios = triples.flat_map(|triple| Self::with(&triple));
        scenarios
            .filter(|it| matches!(it.cookie, Cookie::Ticket))
            .collect()
    }

    /// Two requests of one browser, the second with the cookie that the first got, and one in
    /// flight.
    pub(crate) fn sequences() -> Vec<Self> {
        let requests = || {
            Kind::ALL
                .into_iter()
                .filter(|&kind| kind != Kind::DeleteOwner)
        };
        let two = requests().flat_map(|a| requests().map(move |b| vec![a, b]));
        let three = two.flat_map(|two| Kind::ALL.map(|third| [two.clone(), vec![third]]));
        three.flat_map(|browsers| Self::with(&browsers)).collect()
    }

    /// The scenarios of these browsers, which have the same cookie.
    pub(crate) fn with(browsers: &[Vec<Kind>]) -> Vec<Self> {
        let places = [Instances::One, Instances::Each, Instances::Rotating];
        let cookies = [Cookie::Ticket, Cookie::Inline].into_iter();
        let each = cookies.flat_map(|cookie| places.map(|instances| (cookie, instances)));
        each.map(|(cookie, instances)| Self {
            browsers: browsers.to_vec(),
            cookie,
            instances,
        })
        .collect()
    }

    /// Pairs of requests with a session in the old store. `agree`: whether all instances have the
    /// same one. Otherwise, they may disagree too.
    pub(crate) fn moves(agree: bool) -> Vec<Self> {
        let all = Kind::ALL.into_iter().enumerate();
        let pairs = all.flat_map(|(n, first)| Kind::ALL[n..].iter().map(move |&it| [first, it]));
        let scenarios = pairs.flat_map(|[first, second]| {
            let symmetric = usize::from(first == second);
            let disagreeing = (symmetric..2).map(Instances::Disagreeing);
            let disagreeing = disagreeing.filter(move |_| !agree);
            let places = [Instances::Moving].into_iter().chain(disagreeing);
            places.map(move |instances| Self {
                browsers: vec![vec![first], vec![second]],
                cookie: Cookie::Old,
                instances,
            })
        });
        scenarios.collect()
    }

    pub(crate) async fn world(&self) -> World {
        let gate = Gate::new();
        let clock = TestClock::default();
        let builder = |secrets: &[&str]| {
            let mut secrets = secrets
                .iter()
                .map(|text| Secret::new(text).expect("a good one"));
            let keys = KeyRing::new(secrets.next().expect("one"));
            let keys = secrets.fold(keys, KeyRing::fallback);
            let builder = SessionLayer::builder(keys).clock(clock.clone());
            testing::as_another_process(builder)
        };
        let build = |builder: SessionLayerBuilder| builder.build().expect("valid");
        let instance = |secrets: &[&str]| build(builder(secrets));
        // a call that waits for its turn in the order does not time out
        let patient = |builder: SessionLayerBuilder| {
            let builder = builder.store_timeout(Duration::from_secs(60));
            build(match self.cookie {
                Cookie::OldId => adopting(builder, clock.now()),
                _ => builder,
            })
        };
        let [old, new] = SECRETS;
        let (first, second): (&[&str], &[&str]) = match self.instances {
            Instances::Rotating => (&[new, old], &[old, new]),
            _ => (&[old], &[old]),
        };
        let count = match self.instances {
            Instances::One => 1,
            _ => self.browsers.iter().map(Vec::len).sum(),
        };
        let rings = [first, second].into_iter().cycle().take(count);
        let mut layers = Vec::new();
        for (number, ring) in rings.enumerate() {
            if let Cookie::Revocable = self.cookie {
                layers.push(revocable(instance(ring), &gate).await);
                continue;
            }
            let (layer, other) = (builder(ring), gate.other());
            layers.push(patient(match self.instances {
                Instances::Disagreeing(first) if number % 2 == first => {
                    layer.store(gate.clone()).read_from(other)
                }
                Instances::Moving | Instances::Disagreeing(_) => {
                    layer.store(other).read_from(gate.clone())
                }
                _ => layer.store(gate.clone()),
            }));
        }
        let fresh = builder(&[new, old]);
        let fresh = match (self.cookie, self.instances) {
            (Cookie::Revocable, _) => build(fresh),
            (Cookie::Old, _) => patient(fresh.store(gate.clone()).read_from(gate.other())),
            (Cookie::OldId, Instances::Moving) => {
                patient(fresh.store(gate.other()).read_from(gate.clone()))
            }
            _ => patient(fresh.store(gate.clone())),
        };

        let cookie = match self.cookie {
            Cookie::Ticket | Cookie::Old => {
                let begin = async |session: Session| fill(&session);
                let end = visit(&instance(&[old]).store(gate.clone()), &NO_COOKIE, begin).await;
                end.cookie().expect("a ticket").clone()
            }
            Cookie::OldId => HeaderValue::from_static("old=an-old-id"),
            Cookie::Inline | Cookie::Revocable => {
                let layer = instance(&[old]);
                let session = testing::session(&layer);
                fill(&session).expect("it is small");
                testing::cookie(&layer, &session).expect("entropy")
            }
        };
        if let Cookie::OldId = self.cookie {
            let layer = patient(builder(&[old]).store(gate.clone()));
            import(&layer, clock.now()).await;
        }
        World {
            gate,
            instances: layers,
            fresh,
            cookie,
        }
    }
}

impl World {
    /// An instance that knows all secrets, and all entries of the log, but nothing of what the
    /// others remember.
    pub(crate) async fn fresh(&self, scenario: &Scenario) -> SessionLayer {
        match scenario.cookie {
            Cookie::Revocable => revocable(self.fresh.clone(), &self.gate).await,
            _ => self.fresh.clone(),
        }
    }
}

async fn revocable(layer: SessionLayer, gate: &Gate) -> SessionLayer {
    let log = Revocations::sharing(gate).await;
    layer.revocations(log.expect("it answers at once"))
}

/// The settings of a layer that takes ids of the cookie `old`.
fn adopting(builder: SessionLayerBuilder, now: OffsetDateTime) -> SessionLayerBuilder {
    let day = Duration::from_secs(24 * 3600);
    let builder = builder.idle_timeout(day).absolute_timeout(day);
    builder.adopt_ids_from_cookie("old", now + day)
}

/// Imports what [`fill`] makes, with an old id.
async fn import(layer: &SessionLayer, now: OffsetDateTime) {
    let import = Import::new("ada", now + Duration::from_secs(3600)).expect("an owner");
    let mut import = import.old_id("an-old-id").expect("an id");
    import.json("cart", "\"tea\"").expect("JSON");
    let found = tools::import(layer, &import)
        .await
        .expect("it answers at once");
    assert_eq!(found, ImportFound::Nothing);
}

fn fill(session: &Session) -> Result<(), Error> {
    session.login("ada")?;
    session.insert("cart", "tea")
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            browsers,
            cookie,
            instances,
        } = self;
        write!(f, "{browsers:?}, {cookie:?}, {instances:?}")
    }
}
