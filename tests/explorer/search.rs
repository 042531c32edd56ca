//! All orders of the calls, depth first. Each run replays the choices of the one before, up to the
//! last one that has an alternative.
//!
//! Of two steps that have the same effects in either order, only one order is tried: the step that
//! was tried first *sleeps* in the alternatives, until a step follows that it depends on
//! (Godefroid's sleep sets).

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use crate::{
    gate::{Answer, Call, Gate, Grant, as_actor},
    requests::{End, Kind, send},
    scenario::{Cookie, Instances, Scenario, World},
};

/// Longer than any pause before another try.
const PAUSE: Duration = Duration::from_millis(40);

/// The choices of one run.
#[derive(Default)]
pub(crate) struct Path {
    /// Each with the number of its options.
    choices: Vec<(usize, usize)>,
    depth: usize,
    /// The options that lead only to runs that were tried.
    asleep: Vec<Choice>,
}

impl Path {
    fn choose(&mut self, options: usize) -> usize {
        if self.depth == self.choices.len() {
            self.choices.push((0, options));
        }
        let (choice, known) = self.choices[self.depth];
        assert_eq!(known, options, "a run is not deterministic");
        self.depth += 1;
        choice
    }

    /// The choices of the next run. Returns `false` after the last one.
    pub(crate) fn advance(&mut self) -> bool {
        self.depth = 0;
        self.asleep.clear();
        while let Some((choice, options)) = self.choices.pop() {
            if choice + 1 < options {
                self.choices.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The call of a browser is answered.
    Answer(usize, Grant),
    /// The browser's request is dropped. If `sent`, the call it waits for is applied later.
    Drop { browser: usize, sent: bool },
    /// The handler of the browser's request drops its commit.
    Cancel { browser: usize, sent: bool },
    /// The late call is applied.
    ApplyLate,
}

/// An action, and the call that it answers or withdraws.
#[derive(Clone)]
struct Choice {
    action: Action,
    call: Option<Call>,
}

/// A step as it is printed.
pub(crate) struct Step(Choice, Option<Answer>);

/// A request in a run.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) browser: usize,
    /// Whether it bears the cookie that all browsers have at the beginning.
    pub(crate) is_first: bool,
    /// The steps before which it was sent, and after which it ended.
    pub(crate) sent: usize,
    pub(crate) ended: usize,
    pub(crate) end: Option<End>,
    /// Whether the fault happened to it.
    pub(crate) faulty: bool,
}

/// A run that has ended.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) requests: Vec<Request>,
    pub(crate) steps: Vec<Step>,
}

impl Run {
    /// Whether a row was deleted.
    pub(crate) fn deletes(&self) -> bool {
        self.calls_delete(|_| true)
    }

    /// Whether a row was deleted after the request had given up.
    pub(crate) fn deletes_late(&self) -> bool {
        self.calls_delete(|action| match action {
            Action::Answer(_, grant) => grant == Grant::Late,
            Action::Drop { sent, .. } | Action::Cancel { sent, .. } => sent,
            Action::ApplyLate => true,
        })
    }

    fn calls_delete(&self, how: impl Fn(Action) -> bool) -> bool {
        let mut choices = self.steps.iter().map(|Step(choice, _)| choice);
        choices.any(|it| it.call.as_ref().is_some_and(Call::is_delete) && how(it.action))
    }
}

impl Action {
    fn is_fault(self) -> bool {
        !matches!(self, Self::Answer(_, Grant::Go) | Self::ApplyLate)
    }

    fn drops(self) -> bool {
        matches!(self, Self::Drop { .. })
    }

    fn browser(self) -> Option<usize> {
        match self {
            Self::Answer(browser, _) => Some(browser),
            Self::Drop { browser, .. } | Self::Cancel { browser, .. } => Some(browser),
            Self::ApplyLate => None,
        }
    }
}

/// A run under way.
struct Running<'a> {
    scenario: &'a Scenario,
    gate: &'a Gate,
    browsers: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'a>>>>,
    ends: Rc<RefCell<Vec<Option<End>>>>,
    run: Run,
    faults: usize,
    share_process: bool,
    /// Whether it matters that a request was answered before another was sent.
    order_counts: bool,
}

/// Runs a scenario with these choices and at most so many faults. `None`: another order of the same
/// run was tried before.
pub(crate) async fn run(
    scenario: &Scenario,
    world: &World,
    path: &mut Path,
    faults: usize,
) -> Option<Run> {
    world.gate.reset(scenario.browsers.len());
    let mut running = Running::begin(scenario, world, faults);
    let mut waited = 0;
    let result = loop {
        running.poll_until_all_wait();
        running.finish_logouts().await;
        // who pauses goes on, whatever time was drawn: its next call waits like any other
        if running.is_waiting_elsewhere() {
            tokio::time::advance(PAUSE).await;
            running.poll_until_all_wait();
            running.finish_logouts().await;
        }
        let options = running.options();
        if !options.is_empty() {
            let asleep = |option: &Choice| path.asleep.iter().any(|it| it.action == option.action);
            let mut awake: Vec<_> = options.into_iter().filter(|it| !asleep(it)).collect();
            if awake.is_empty() {
                break None;
            }
            let chosen = path.choose(awake.len());
            path.asleep.extend(awake.drain(..chosen));
            let choice = awake.swap_remove(0);
            path.asleep.retain(|other| running.commute(&choice, other));
            running.act(choice);
            waited = 0;
        } else if running.browsers.iter().all(Option::is_none) {
            break Some(std::mem::take(&mut running.run));
        } else {
            assert!(waited < 100, "all wait for each other");
            waited += 1;
        }
    };
    // the logouts among the requests that are dropped here must not reach the next run
    drop(running);
    yield_to_tasks().await;
    result
}

async fn yield_to_tasks() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

impl<'a> Running<'a> {
    fn begin(scenario: &'a Scenario, world: &'a World, faults: usize) -> Self {
        let ends = Rc::new(RefCell::new(Vec::new()));
        let mut requests = Vec::new();
        let mut browsers: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'a>>>> = Vec::new();
        for (browser, kinds) in scenario.browsers.iter().enumerate() {
            let first = requests.len();
            requests.extend(kinds.iter().enumerate().map(|(n, &kind)| Request {
                kind,
                browser,
                is_first: n == 0,
                sent: 0,
                ended: 0,
                end: None,
                faulty: false,
            }));
            ends.borrow_mut().resize(requests.len(), None);
            let (kinds, ends) = (kinds.clone(), ends.clone());
            let future = async move {
                let mut cookie = world.cookie.clone();
                for (number, kind) in (first..).zip(kinds) {
                    let layer = &world.instances[number % world.instances.len()];
                    let layer = (layer, matches!(scenario.cookie, Cookie::Revocable));
                    let end = send(kind, number, layer, &world.gate, &cookie).await;
                    if let End::Response {
                        cookie: Some(new), ..
                    } = &end
                    {
                        cookie = new.clone();
                    }
                    ends.borrow_mut()[number] = Some(end);
                }
            };
            browsers.push(Some(Box::pin(tokio::task::unconstrained(future))));
        }
        let steps = Vec::new();
        Self {
            scenario,
            gate: &world.gate,
            browsers,
            ends,
            faults,
            share_process: matches!(scenario.instances, Instances::One),
            order_counts: requests.iter().any(|request| request.kind == Kind::Logout),
            run: Run { requests, steps },
        }
    }

    /// Polls the browsers that wait for something other than a call. A turn may be theirs now.
    fn poll_until_all_wait(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let mut went_on = false;
            for (browser, future) in self.browsers.iter_mut().enumerate() {
                let Some(running) = future else {
                    continue;
                };
                if self.gate.asked(browser).is_some() {
                    continue;
                }
                let done = as_actor(browser, || running.as_mut().poll(&mut context).is_ready());
                if done {
                    *future = None;
                }
                went_on |= done || self.gate.asked(browser).is_some();
            }
            if !went_on {
                break;
            }
        }
        let (step, ends) = (self.run.steps.len(), self.ends.borrow());
        for (request, end) in self.run.requests.iter_mut().zip(&*ends) {
            if request.end.is_none() && end.is_some() {
                request.end.clone_from(end);
                request.ended = step;
            }
        }
    }

    /// Whether a browser waits for something other than an answer.
    fn is_waiting_elsewhere(&self) -> bool {
        let mut browsers = self.browsers.iter().enumerate();
        browsers.any(|(browser, it)| it.is_some() && self.gate.asked(browser).is_none())
    }

    fn options(&self) -> Vec<Choice> {
        let calls = (0..self.browsers.len()).map(|browser| self.gate.asked(browser));
        let calls: Vec<_> = calls.collect();
        let mut options = Vec::new();
        for (browser, call) in calls.iter().enumerate().filter(|(_, call)| call.is_some()) {
            options.push((Action::Answer(browser, Grant::Go), call.clone()));
        }
        if let Some(call) = self.gate.late() {
            options.push((Action::ApplyLate, Some(call)));
        }
        if self.faults > 0 && !options.is_empty() {
            for (browser, call) in calls.iter().enumerate() {
                let faults = self.faults_of(browser, call.as_ref());
                options.extend(faults.into_iter().map(|action| (action, call.clone())));
            }
        }
        let options = options.into_iter();
        options
            .map(|(action, call)| Choice { action, call })
            .collect()
    }

    fn faults_of(&self, browser: usize, call: Option<&Call>) -> Vec<Action> {
        if self.browsers[browser].is_none() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        // a load has no effect, so it does not matter whether it was applied
        let sent = [
            Some(false),
            call.is_some_and(|call| !call.is_load()).then_some(true),
        ];
        for sent in sent.into_iter().flatten() {
            faults.push(Action::Drop { browser, sent });
            if self.gate.may_cancel(browser) {
                faults.push(Action::Cancel { browser, sent });
            }
        }
        if let Some(call) = call.filter(|call| !call.is_pause()) {
            faults.push(Action::Answer(browser, Grant::NotMade));
            faults.push(Action::Answer(browser, Grant::Late));
            if !call.is_load() {
                faults.push(Action::Answer(browser, Grant::Unanswered));
            }
        }
        faults
    }

    /// Whether two steps have the same effects in either order.
    fn commute(&self, one: &Choice, other: &Choice) -> bool {
        let (Some(call), Some(other_call)) = (&one.call, &other.call) else {
            return false;
        };
        // the logout of a dropped request goes on at once
        let drops = one.action.drops() || other.action.drops();
        let both_faulty = one.action.is_fault() && other.action.is_fault();
        // in one process, requests also wait for each other
        !(self.share_process || drops || both_faulty)
            && one.action.browser() != other.action.browser()
            && !(self.order_counts && (self.begins(one) || self.begins(other)))
            && call.commutes_with(other_call)
    }

    /// Whether a request is sent with that step.
    fn begins(&self, choice: &Choice) -> bool {
        let mut requests = self.run.requests.iter();
        let browser = choice.action.browser();
        requests.any(|it| Some(it.browser) == browser && it.end.is_none() && it.sent == 0)
    }

    fn act(&mut self, choice: Choice) {
        let mut answer = None;
        if let Some(browser) = choice.action.browser() {
            self.note_sent(browser, choice.action.is_fault());
        }
        match choice.action {
            Action::Answer(browser, grant) => answer = self.gate.grant(browser, grant).ok(),
            Action::Drop { browser, sent } => {
                self.browsers[browser] = None;
                self.gate.withdraw(browser, sent);
                let mut ends = self.ends.borrow_mut();
                for (request, end) in self.run.requests.iter().zip(&mut *ends) {
                    if request.browser == browser {
                        end.get_or_insert(End::Dropped);
                    }
                }
            }
            Action::Cancel { browser, sent } => {
                self.gate.withdraw(browser, sent);
                self.gate.cancel(browser);
            }
            Action::ApplyLate => self.gate.apply_late(),
        }
        self.run.steps.push(Step(choice, answer));
    }

    /// Lets the tasks go on that end the sessions of dropped logouts. Their calls are answered at
    /// once, unless they wait for a turn.
    async fn finish_logouts(&self) {
        let mut steps = self.run.steps.iter();
        if steps.any(|Step(choice, _)| choice.action.drops()) {
            yield_to_tasks().await;
        }
    }

    /// Notes when the present request of a browser was sent, and whether the fault is now.
    fn note_sent(&mut self, browser: usize, faulty: bool) {
        let mut requests = self.run.requests.iter_mut();
        let present = requests.find(|request| request.browser == browser && request.end.is_none());
        let present = present.expect("a request under way");
        if present.sent == 0 {
            present.sent = self.run.steps.len() + 1;
        }
        present.faulty |= faulty;
        self.faults -= usize::from(faulty);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, after these steps:\n{}", self.scenario, self.run);
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Step(Choice { action, call }, answer)) in self.steps.iter().enumerate() {
            write!(f, "  {:2}. {action:?}", number + 1)?;
            if let Some(call) = call {
                write!(f, ": {call}")?;
            }
            if let Some(answer) = answer {
                write!(f, " -> {answer}")?;
            }
            writeln!(f)?;
        }
        for Request {
            kind,
            browser,
            sent,
            ended,
            end,
            ..
        } in &self.requests
        {
            write!(
                f,
                "  browser {browser}, {kind:?}, steps {sent} to {ended}: "
            )?;
            match end {
                Some(End::Response { status, cookie, .. }) => {
                    let cookie = cookie.as_ref().map(|cookie| !cookie.is_empty());
                    let cookie = match cookie {
                        None => "no cookie",
                        Some(true) => "sets a cookie",
                        Some(false) => "removes the cookie",
                    };
                    writeln!(f, "{}, {cookie}", status.as_u16())?;
                }
                end => writeln!(f, "{end:?}")?,
            }
        }
        Ok(())
    }
}
