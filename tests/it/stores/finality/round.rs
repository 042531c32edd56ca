//! One round: requests that are sent at the same time, and what their answers say.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use axum::Router;
use futures_util::future::join_all;
use http::StatusCode;
use rand::{RngExt as _, rngs::StdRng};
use tower_sealed_session::{ErrorKind, SessionLayer};

use super::{Instance, yield_randomly, yields};
use crate::support::{Answer, Visitor};

/// The end of all sessions of the owner.
const ALL: &str = "end of all";

/// Where the sessions of a round are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In cookies, with a log of revocations.
    Cookies,
    /// In a store.
    Store,
    /// In a store, but the first one is still in its cookie.
    Moving,
}

#[derive(Debug)]
pub(super) struct Round {
    number: u64,
    place: Place,
    pub(super) owner: String,
    canary: String,
    requests: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    kind: &'static str,
    instance: usize,
    /// Whether it is sent later, with the cookie that the browser has then.
    later: bool,
    /// How long it waits before that.
    wait: Duration,
    /// After how many steps it is cancelled.
    cancelled: Option<u32>,
}

impl Round {
    pub(super) fn new(number: u64, place: Place, owner: &str, plan: &mut StdRng) -> Self {
        let kinds = [
            "write", "count", "renew", "login", "read", "remember", "kept", "renew", "login",
        ];
        let mut requests: Vec<(&str, bool)> = (0..plan.random_range(2..7))
            .map(|_| {
                (
                    kinds[plan.random_range(0..kinds.len())],
                    plan.random_ratio(1, 3),
                )
            })
            .collect();
        let end = match plan.random_range(0..4) {
            0 => ALL,
            // which of several renewals succeeds shows only if the session goes on
            1 if place == Place::Cookies => "renew",
            _ => "logout",
        };
        let at = plan.random_range(0..=requests.len());
        requests.insert(at, (end, plan.random_ratio(1, 4)));
        // the log is told of a cancelled logout too, but nothing says when
        let can_cancel = |kind| kind != end || place == Place::Cookies;
        let requests = requests.into_iter().map(|(kind, later)| Planned {
            kind,
            later,
            wait: Duration::ZERO,
            instance: plan.random_range(0..2),
            cancelled: (can_cancel(kind) && plan.random_ratio(1, 6))
                .then(|| plan.random_range(1..60)),
        });
        Self {
            number,
            place,
            owner: owner.to_owned(),
            canary: format!("canary-{number}"),
            requests: requests.collect(),
        }
    }

    /// Lets the later requests wait for up to that time, so that instances read the log before.
    pub(super) fn wait_up_to(mut self, longest: Duration, plan: &mut StdRng) -> Self {
        for request in self.requests.iter_mut().filter(|request| request.later) {
            request.wait = longest.mul_f64(plan.random());
        }
        self
    }

    /// Begins the session whose cookie the requests bring.
    pub(super) async fn begin(&self, app: &Router) -> Visitor {
        let mut visitor = Visitor::default();
        let path = format!("/{}/begin/{}", self.owner, self.canary);
        let answer = visitor.get(app, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "round {}", self.number);
        visitor
    }

    /// Sends the requests at the same time.
    pub(super) async fn run(
        &self,
        first: &Visitor,
        instances: &[Instance],
        rng: &Mutex<StdRng>,
    ) -> Cookies {
        let cookies = Mutex::new(Cookies::new(first));
        let requests = self.requests.iter().enumerate().map(|(n, planned)| {
            let instance = &instances[planned.instance];
            let cookies = &cookies;
            async move {
                let (mut sent, mut login) = (first.clone(), 0);
                if planned.later {
                    if !planned.wait.is_zero() {
                        tokio::time::sleep(planned.wait).await;
                    }
                    for _ in 0..n {
                        yield_randomly(rng).await;
                    }
                    (sent, login) = cookies.lock().expect("no panic").browser.clone();
                }
                match planned.kind {
                    ALL => self.end_all(&instance.layer, cookies).await,
                    _ => {
                        self.send(planned, &instance.app, sent, login, cookies)
                            .await
                    }
                }
            }
        });
        join_all(requests).await;
        cookies.into_inner().expect("no panic")
    }

    async fn send(
        &self,
        planned: &Planned,
        app: &Router,
        sent: Visitor,
        login: Login,
        cookies: &Mutex<Cookies>,
    ) {
        let mut own = sent.clone();
        let path = format!("/{}/{}", self.owner, planned.kind);
        let steps = async {
            match planned.cancelled {
                Some(steps) => yields(steps).await,
                None => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = own.get(app, &path) => answer,
            () = steps => return,
        };
        // what cannot be kept is not answered 200
        let status = answer.status;
        assert!(
            status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE,
            "round {}, {}: {status}",
            self.number,
            planned.kind
        );
        let mut cookies = cookies.lock().expect("no panic");
        if self.ends(planned.kind, &sent, &answer) {
            cookies.ended.insert(login);
        }
        cookies.answered(planned.kind, &answer, &sent, own, login);
    }

    /// Whether the session of the cookie that was sent has ended.
    fn ends(&self, kind: &str, sent: &Visitor, answer: &Answer) -> bool {
        let was_there = answer.body == self.canary;
        answer.status == StatusCode::OK
            && match (self.place, kind) {
                // also with the cookie from before a renewal
                (Place::Cookies, "logout") => !sent.jar.is_empty(),
                // a login continues it under a new id
                (Place::Cookies, "login") => was_there,
                // a logout with a cookie of an ended session does not end the login that followed
                (_, "logout") => was_there,
                _ => false,
            }
    }

    async fn end_all(&self, layer: &SessionLayer, cookies: &Mutex<Cookies>) {
        // those that are answered meanwhile may begin later
        let seen = cookies.lock().expect("no panic").seen.clone();
        let ended = match self.place {
            Place::Cookies => layer.revoke_owner(&self.owner).await,
            Place::Store | Place::Moving => layer.delete_owner(&self.owner).await.map(drop),
        };
        if let Err(error) = ended {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            return;
        }
        let mut cookies = cookies.lock().expect("no panic");
        let theirs = seen.iter().map(|(_, login)| *login);
        // a session that is still in its cookie is not in the store
        let theirs = theirs.filter(|login| *login > 0 || self.place != Place::Moving);
        cookies.ended.extend(theirs);
    }
}

/// The number of the login that a cookie comes from. 0 is the first one. A session without a login
/// has a number too.
pub(super) type Login = usize;

/// The cookies of one round.
pub(super) struct Cookies {
    /// Those of the visitor's browser, with their login.
    browser: (Visitor, Login),
    /// Every cookie that was ever set.
    pub(super) seen: Vec<(Visitor, Login)>,
    logins: usize,
    pub(super) ended: HashSet<Login>,
    /// The number of renewals that were refused.
    pub(super) refused: usize,
}

impl Cookies {
    fn new(first: &Visitor) -> Self {
        Self {
            browser: (first.clone(), 0),
            seen: vec![(first.clone(), 0)],
            logins: 1,
            ended: HashSet::new(),
            refused: 0,
        }
    }

    /// Notes the answer to a request that brought a cookie of that login. `own` is the jar after it.
    fn answered(
        &mut self,
        kind: &str,
        answer: &Answer,
        sent: &Visitor,
        own: Visitor,
        mut login: Login,
    ) {
        if answer.sets_nothing() {
            let is_refused = kind == "renew" && answer.status != StatusCode::OK;
            self.refused += usize::from(is_refused);
            return;
        }
        if kind == "login" || sent.jar.is_empty() {
            (login, self.logins) = (self.logins, self.logins + 1);
        }
        self.browser.0.keep(answer);
        self.browser.1 = login;
        self.seen.push((own, login));
    }
}
