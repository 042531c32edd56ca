//! What has to hold after each run, whatever the order and the fault.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header::COOKIE};
use tower_sealed_session::{OffsetDateTime, SessionLayer, SessionView};

use crate::{
    requests::{End, Kind, REMEMBERED, early, late, visit},
    scenario::{Cookie, Scenario, World},
    search::{Request, Run},
};

/// A cookie that a browser got, and what it opens after the run.
struct Held<'a> {
    /// The request that set it. `None`: the browsers had it at the beginning.
    by: Option<&'a Request>,
    session: Found,
}

/// A session that a cookie opens.
struct Found {
    owner: Option<String>,
    family: Option<[u8; 8]>,
    keys: Vec<String>,
    n: usize,
    created: OffsetDateTime,
    expires: OffsetDateTime,
}

/// A run under examination.
struct Examined<'a> {
    scenario: &'a Scenario,
    requests: &'a [Request],
    cookies: Vec<Held<'a>>,
    /// Whether a row was deleted, and whether that happened after its call timed out.
    deletes: bool,
    deletes_late: bool,
}

/// Returns what is wrong with a run.
pub(crate) async fn examine(scenario: &Scenario, world: &World, run: &Run) -> Option<String> {
    let fresh = world.fresh(scenario).await;
    let first = match scenario.cookie {
        // it is opened as by a request in flight
        Cookie::OldId => match visit(&fresh, &world.cookie, async |_| Ok(()))
            .await
            .cookie()
        {
            Some(ticket) => open(&fresh, ticket).await,
            None => open(&fresh, &HeaderValue::from_static("")).await,
        },
        _ => open(&fresh, &world.cookie).await,
    };
    let mut cookies = vec![Held {
        by: None,
        session: first,
    }];
    for request in &run.requests {
        if let Some(cookie) = request.end.as_ref().and_then(End::cookie) {
            let session = open(&fresh, cookie).await;
            let by = Some(request);
            cookies.push(Held { by, session });
        }
    }
    let examined = Examined {
        scenario,
        requests: &run.requests,
        cookies,
        deletes: run.deletes(),
        deletes_late: run.deletes_late(),
    };
    let finding = examined
        .statuses()
        .or_else(|| examined.after_logout())
        .or_else(|| examined.carried())
        .or_else(|| examined.after_delete_owner())
        .or_else(|| examined.replaced())
        .or_else(|| examined.renewals())
        .or_else(|| examined.logins())
        .or_else(|| examined.counts());
    if finding.is_some() || examined.is_revocable() {
        // the last response with a cookie wins, so it can lack what others wrote
        return finding;
    }
    let finding = examined.serials().or_else(|| examined.families());
    match finding {
        None => examined.writes(world, &fresh).await,
        finding => finding,
    }
}

async fn open(fresh: &SessionLayer, cookie: &HeaderValue) -> Found {
    let headers = HeaderMap::from_iter([(COOKIE, cookie.clone())]);
    let view = fresh.open(&headers).await;
    Found::from(view.expect("the store answers"))
}

impl From<SessionView> for Found {
    fn from(view: SessionView) -> Self {
        Self {
            owner: view.owner(),
            family: view
                .id()
                .and_then(|id| id.as_bytes().first_chunk().copied()),
            keys: view.keys(),
            n: view.get("n").expect("a number").unwrap_or(0),
            created: view.created_at(),
            expires: view.expires_at(),
        }
    }
}

impl Found {
    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|it| it == key)
    }

    fn is_of(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }
}

impl Examined<'_> {
    fn of(&self, kinds: &[Kind]) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|it| kinds.contains(&it.kind))
    }

    /// The requests of these kinds that were answered as done.
    fn done(&self, kinds: &[Kind]) -> impl Iterator<Item = &Request> {
        self.of(kinds).filter(|it| it.is_done())
    }

    /// The requests that the same browser sent before.
    fn earlier(&self, request: &Request) -> impl Iterator<Item = &Request> {
        let (browser, sent) = (request.browser, request.sent);
        let requests = self.requests.iter();
        requests.filter(move |it| it.browser == browser && it.sent < sent)
    }

    fn has(&self, kind: Kind) -> bool {
        self.of(&[kind]).next().is_some()
    }

    fn is_revocable(&self) -> bool {
        matches!(self.scenario.cookie, Cookie::Revocable)
    }

    fn is_faulty(&self) -> bool {
        self.requests.iter().any(|request| request.faulty)
    }

    /// Requests succeed or can be repeated. Reading, login and logout always work.
    fn statuses(&self) -> Option<String> {
        let faulty = self.is_faulty();
        let wrong = self.requests.iter().find(|request| match &request.end {
            Some(End::Response { status, .. }) => {
                let always = match request.kind {
                    Kind::Read | Kind::Logout => true,
                    // its session may be deleted before the login is answered
                    Kind::Login | Kind::LoginAsBob => !self.has(Kind::DeleteOwner),
                    _ => false,
                };
                let may_fail = faulty || !always;
                !(*status == StatusCode::OK
                    || may_fail && *status == StatusCode::SERVICE_UNAVAILABLE)
            }
            Some(_) => false,
            None => true,
        });
        wrong.map(|request| format!("{:?} ended with {:?}", request.kind, request.end))
    }

    /// Nothing outlives its logout, except a login.
    fn after_logout(&self) -> Option<String> {
        let bears_login = |it: &Request| self.earlier(it).any(|before| before.kind.is_login());
        let logout = self.done(&[Kind::Logout]).find(|it| !bears_login(it))?;
        let outlives = self.cookies.iter().find(|Held { by, session }| {
            let by_login = by.is_some_and(|it| it.kind.is_login() || bears_login(it));
            !by_login && (session.owner.is_some() || session.has("cart"))
        });
        if let Some(Held { by, .. }) = outlives {
            return Some(format!("a cookie of {} outlives the logout", name(*by)));
        }
        // the cookie of a request on an instance that does not know of the logout opens nothing
        if self.deletes || self.has(Kind::DeleteOwner) || self.is_revocable() {
            // nothing is left that says when the session ended
            return None;
        }
        // a request that was in flight begins nothing: the browser may have logged in since
        let begins = |request: &&Request| {
            let sets_cookie = request
                .end
                .as_ref()
                .is_some_and(|end| end.cookie().is_some());
            let later = logout.ended < request.sent && request.is_first;
            later && sets_cookie && !request.kind.is_login()
        };
        let begun = self.requests.iter().find(begins)?;
        Some(format!(
            "{:?} begins a session after the logout",
            begun.kind
        ))
    }

    /// A login leaves the entries of a session that a logout or another owner ended.
    fn carried(&self) -> Option<String> {
        // a login that met two conflicts deletes the row, whatever it is by then
        if self.is_faulty() || self.deletes {
            return None;
        }
        // with an old serial, another owner's login ends nothing
        let ends = |it: &&Request| it.kind == Kind::Logout || !self.has(Kind::Renew);
        let mut enders = self.done(&[Kind::Logout, Kind::LoginAsBob]).filter(ends);
        let ender = enders.next()?;
        let others = self
            .requests
            .iter()
            .filter(|it| it.kind.is_login() && !std::ptr::eq(*it, ender));
        if others.count() > 1 {
            // another login may have ended the session before
            return None;
        }
        // without a fault, the last step of a login ends the old session
        let carries = |Held { by, session }: &&Held<'_>| {
            by.is_some_and(|it| it.kind == Kind::Login && ender.ended < it.ended)
                && session.has("cart")
        };
        let held = self.cookies.iter().find(carries);
        held.map(|_| {
            format!(
                "a login has the cart of a session that {:?} ended",
                ender.kind
            )
        })
    }

    /// It ends what exists when it is called. Inline cookies that did not move stay.
    fn after_delete_owner(&self) -> Option<String> {
        let deletion = self.done(&[Kind::DeleteOwner]).next()?;
        let before = |request: &Request| request.ended < deletion.sent;
        let moved = self.cookies.iter().any(|held| held.by.is_some_and(before));
        let found = self.cookies.iter().find(|Held { by, session }| {
            let existed = match (by, self.scenario.cookie) {
                (Some(request), _) => before(request),
                (None, Cookie::Ticket | Cookie::Old | Cookie::Revocable | Cookie::OldId) => true,
                (None, Cookie::Inline) => moved,
            };
            existed && session.is_of("ada")
        })?;
        Some(format!(
            "a cookie of {} outlives delete_owner",
            name(found.by)
        ))
    }

    /// A ticket is good only with the serial of its row, and a login ends the session that
    /// it came with.
    fn replaced(&self) -> Option<String> {
        let mut replacing = self.done(&[Kind::Renew, Kind::Login, Kind::LoginAsBob]);
        let replacing =
            replacing.find(|it| it.end.as_ref().is_some_and(|end| end.cookie().is_some()))?;
        let first = &self.cookies[0].session;
        let opens = first.owner.is_some() || !first.keys.is_empty();
        opens.then(|| format!("the first cookie is still good after {:?}", replacing.kind))
    }

    /// Two renewals of one id leave one session.
    fn renewals(&self) -> Option<String> {
        let by_renewal = |held: &&Held<'_>| {
            held.by
                .is_some_and(|it| it.kind == Kind::Renew && it.is_first)
                && held.session.owner.is_some()
        };
        let count = self.cookies.iter().filter(by_renewal).count();
        (count > 1).then(|| format!("{count} renewals of one id left a session"))
    }

    /// A commit that finds another serial fails, also a renewal.
    fn serials(&self) -> Option<String> {
        // after a logout, writes are dropped
        let may_drop = self.has(Kind::Logout) || self.has(Kind::DeleteOwner);
        if self.is_faulty() || may_drop {
            return None;
        }
        let sets_cookie = |it: &Request| it.end.as_ref().is_some_and(|end| end.cookie().is_some());
        let renewal = self
            .done(&[Kind::Renew])
            .find(|it| it.is_first && sets_cookie(it))?;
        let keeps = self.requests.iter().find(|it| {
            let later = it.is_first && it.is_done() && renewal.ended < it.ended;
            match it.kind {
                Kind::Write | Kind::Update | Kind::Commit => later,
                Kind::Renew => later && sets_cookie(it),
                _ => false,
            }
        })?;
        Some(format!(
            "{:?} succeeds with a serial that was replaced",
            keeps.kind
        ))
    }

    /// Live sessions never outnumber logins. A login ends the session of the same owner, also if
    /// another login began that.
    fn families(&self) -> Option<String> {
        let live = |owner: &str| {
            let theirs = self.cookies.iter().filter(|held| held.session.is_of(owner));
            theirs
                .map(|held| held.session.family)
                .collect::<BTreeSet<_>>()
                .len()
        };
        let (ada, bob) = (live("ada"), live("bob"));
        let (of_ada, of_bob) = (
            self.of(&[Kind::Login]).count(),
            self.of(&[Kind::LoginAsBob]).count(),
        );
        if ada > 1 + of_ada || bob > of_bob {
            return Some(format!("{ada} sessions of ada and {bob} of bob are live"));
        }
        let all_done = self.of(&[Kind::Login]).all(Request::is_done);
        // otherwise two logins may have nothing in common
        let apart = self.deletes
            || self.has(Kind::Logout)
            || self.has(Kind::DeleteOwner)
            || self.has(Kind::LoginAsBob);
        if of_ada > 0 && all_done && !apart && ada != 1 {
            return Some(format!("{ada} sessions of ada are live after a login"));
        }
        None
    }

    /// No answered login is lost. A logout that bore an earlier cookie does not end it.
    fn logins(&self) -> Option<String> {
        if self.has(Kind::DeleteOwner) {
            return None;
        }
        let lost = self.cookies.iter().find(|Held { by, session }| {
            let Some(login) = by.filter(|request| request.kind.is_login() && request.is_done())
            else {
                return false;
            };
            // A later login of the same owner continues it. A fault can delay the answer of the
            // earlier one, as a network can.
            let continued = self.of(&[login.kind]).any(|other: &Request| {
                let later = other.ended > login.ended;
                !std::ptr::eq(other, login) && (later || self.is_faulty())
            });
            let replaced = self.requests.iter().any(|it| {
                let ends = it.kind.is_login() || matches!(it.kind, Kind::Renew | Kind::Logout);
                ends && self.earlier(it).any(|before| std::ptr::eq(before, login))
            });
            session.owner.is_none() && !continued && !replaced
        })?;
        Some(format!("the session of {} is gone", name(lost.by)))
    }

    /// No update is applied twice.
    fn counts(&self) -> Option<String> {
        let updates = self.of(&[Kind::Update, Kind::Commit]).count();
        let most = self.cookies.iter().map(|held| held.session.n).max()?;
        (most > updates).then(|| format!("{updates} updates count {most}"))
    }

    /// No acknowledged write is lost, and nobody loses what they had without a cause. If the
    /// response with the last cookie was lost, the next login finds everything.
    async fn writes(&self, world: &World, fresh: &SessionLayer) -> Option<String> {
        if self.has(Kind::Logout) || self.has(Kind::DeleteOwner) || self.has(Kind::LoginAsBob) {
            return None;
        }
        let complete = |session: &Found| self.lacks(session).is_none();
        if self.cookies.iter().any(|held| complete(&held.session)) {
            return None;
        }
        // A login that met two conflicts deletes the row. If that happens after its time-out, nothing
        // names the new row. A third request may have written to the old one meanwhile.
        if self.deletes_late || self.deletes && self.requests.len() > 2 {
            return None;
        }
        if !self.is_faulty() {
            return self
                .cookies
                .last()
                .and_then(|held| self.lacks(&held.session));
        }
        let login = visit(fresh, &world.cookie, async |session| session.login("ada")).await;
        let Some(cookie) = login.cookie() else {
            return Some(format!("the next login ended with {login:?}"));
        };
        let lacks = self.lacks(&open(fresh, cookie).await)?;
        Some(format!("after the next login: {lacks}"))
    }

    /// What a session lacks of the acknowledged changes.
    fn lacks(&self, session: &Found) -> Option<String> {
        let mut expected = vec!["cart".to_owned()];
        let mut updates = 0;
        for (number, request) in self.requests.iter().enumerate() {
            let committed = matches!(
                request.end,
                Some(End::Response {
                    committed: true,
                    ..
                })
            );
            updates += usize::from(match request.kind {
                Kind::Update => request.is_done(),
                Kind::Commit => request.is_done() || committed,
                _ => false,
            });
            match request.kind {
                Kind::Write if request.is_done() => expected.push(early(number)),
                Kind::Commit if request.is_done() => expected.extend([early(number), late(number)]),
                Kind::Commit if committed => expected.push(early(number)),
                _ => {}
            }
        }
        if let Some(key) = expected.iter().find(|key| !session.has(key)) {
            return Some(format!("{key} is lost"));
        }
        // A login is not remembered, and the visitor with a cookie that a renewal replaced is
        // anonymous.
        let kept = !self.has(Kind::Login) && !self.has(Kind::Renew);
        let remembered = kept && self.done(&[Kind::Remember]).next().is_some();
        if remembered && session.expires < session.created + REMEMBERED {
            return Some("the lifetime is lost".to_owned());
        }
        (session.n < updates).then(|| format!("{updates} answered updates count {}", session.n))
    }
}

impl Request {
    fn is_done(&self) -> bool {
        self.end.as_ref().is_some_and(End::is_ok)
    }
}

fn name(by: Option<&Request>) -> String {
    by.map_or("the beginning".to_owned(), |request| {
        format!("{:?}", request.kind)
    })
}
