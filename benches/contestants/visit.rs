//! Sessions of three sizes, and the requests that each contestant answers.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{
        HeaderValue, Request, Response, StatusCode,
        header::{COOKIE, HOST, SET_COOKIE, USER_AGENT},
    },
};
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;

use super::Contestant;

pub const USER_ID: u64 = 1_000_000_007;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The values of a session of this size, as a map.
    pub fn values(self) -> serde_json::Map<String, serde_json::Value> {
        let values = match self {
            Self::Small => serde_json::to_value(Small::new()),
            Self::Medium => serde_json::to_value(Medium::new()),
            Self::Large => serde_json::to_value(Large::new()),
        };
        match values {
            Ok(serde_json::Value::Object(map)) => map,
            _ => unreachable!("each is a struct"),
        }
    }
}

/// A whole session as a struct.
pub trait Values:
    Clone + Default + Serialize + for<'de> Deserialize<'de> + Send + Sync + 'static
{
    /// One function for each field, which copies it from the second struct.
    const COPY: &[fn(&mut Self, &Self)];

    fn new() -> Self;
    fn user_id(&mut self) -> &mut u64;
}

macro_rules! values {
    ($name:ident { $($field:ident: $type:ty = $value:expr,)* }) => {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl Values for $name {
            const COPY: &[fn(&mut Self, &Self)] =
                &[$(|to, from| to.$field.clone_from(&from.$field),)*];

            fn new() -> Self {
                Self { $($field: $value.into(),)* }
            }

            fn user_id(&mut self) -> &mut u64 {
                &mut self.user_id
            }
        }
    };
}

const CSRF: &str = "q3xq2v0Vd8mYb1sO4l5rXwZk2Jc0fTqJ";
/// 73 characters, like an address, a title or a token.
const TEXT: &str = "The engine weaves algebraic patterns just as the loom weaves flowers here";
const _: () = assert!(CSRF.len() == 32 && TEXT.len() == 73);

values!(Small {
    user_id: u64 = USER_ID,
    csrf: String = CSRF,
});

values!(Medium {
    user_id: u64 = USER_ID,
    csrf: String = CSRF,
    name: String = "Ada Lovelace-Byron",
    email: String = "ada.lovelace@analytical-engine.example",
    role: String = "administrator",
    locale: String = "en-GB",
    login_at: u64 = 1_790_000_000_u64,
    return_to: String = "/projects/42/settings/members",
});

macro_rules! large {
    ($($field:ident)*) => {
        values!(Large {
            user_id: u64 = USER_ID,
            csrf: String = CSRF,
            $($field: String = TEXT,)*
        });
    };
}
large!(v00 v01 v02 v03 v04 v05 v06 v07 v08 v09 v10 v11 v12 v13 v14 v15 v16 v17 v18 v19 v20 v21 v22 v23 v24 v25 v26 v27);

/// The kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// No session cookie is sent, and the handler does not use the session.
    Bare,
    /// A session cookie is sent, and the handler does not use the session.
    Untouched,
    Read,
    Write,
    /// No cookie is sent, and the handler fills a session.
    New,
    /// The same, but the handler puts one value after the other into the session.
    NewByValue,
    /// The session cookie holds 4000 meaningless characters, and the handler reads the session.
    Garbage,
}

impl Visit {
    pub const ALL: [Self; 7] = [
        Self::Bare,
        Self::Untouched,
        Self::Read,
        Self::Write,
        Self::New,
        Self::NewByValue,
        Self::Garbage,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Untouched => "untouched",
            Self::Read => "read",
            Self::Write => "write",
            Self::New => "new",
            Self::NewByValue => "new, value by value",
            Self::Garbage => "garbage",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::Bare | Self::Untouched => "/untouched",
            Self::Read | Self::Garbage => "/read",
            Self::Write => "/write",
            Self::New => "/new",
            Self::NewByValue => "/new-by-value",
        }
    }

    /// Whether the cost depends on the size of the session.
    pub fn has_size(self) -> bool {
        !matches!(self, Self::Bare | Self::Garbage)
    }

    /// Whether a valid session cookie is sent.
    pub fn has_session(self) -> bool {
        matches!(self, Self::Untouched | Self::Read | Self::Write)
    }
}

/// Meaningless characters of the base64url alphabet.
static GARBAGE: LazyLock<String> = LazyLock::new(|| {
    let letter = |n: u32| {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        letters[(n.wrapping_mul(2_654_435_761) >> 26) as usize] as char
    };
    (0..4000).map(letter).collect()
});

/// The number of requests built in advance: few enough to stay in the processor's caches.
const BATCH: u64 = 64;

/// Repeats the same request: the contestant's router, and the cookies that it set.
pub struct Visitor {
    pub app: Router,
    visit: Visit,
    cookies: Option<HeaderValue>,
    /// The name and value of the contestant's own cookies, as sent back.
    pub pairs: Vec<String>,
}

impl Visitor {
    /// Gets a session and checks that the contestant works as expected.
    pub async fn new(contestant: &Contestant, visit: Visit, size: Size) -> Self {
        let app = (contestant.app)(size);
        let what = || format!("{} {} {}", contestant.name, visit.name(), size.name());
        let (status, pairs) = send(&app, "/new", None).await;
        assert_eq!(status, StatusCode::OK, "{}: /new", what());
        let cookies = match visit {
            Visit::Bare | Visit::New | Visit::NewByValue => None,
            Visit::Garbage => Some(format!("{}={}", contestant.cookie, *GARBAGE)),
            _ => Some(pairs.join("; ")),
        };
        let cookies = cookies.map(|ours| {
            let others = "_ga=GA1.1.1035214689.1790000000; theme=dark";
            header(&[others, &ours].join("; "))
        });
        let visitor = Self {
            app,
            visit,
            cookies,
            pairs,
        };
        visitor.check(contestant, &what()).await;
        // let tasks spawned by the app run now, not while it is timed
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        visitor
    }

    async fn check(&self, contestant: &Contestant, what: &str) {
        let (status, sent) = send(&self.app, self.visit.path(), self.cookies.clone()).await;
        let no_sessions = contestant.name == super::floor::NAME;
        let expected = match self.visit {
            Visit::Garbage if !no_sessions => StatusCode::UNAUTHORIZED,
            _ => StatusCode::OK,
        };
        assert_eq!(status, expected, "{what}");
        if matches!(self.visit, Visit::Write | Visit::NewByValue) && !no_sessions {
            let changed = match sent.is_empty() {
                true => self.pairs.join("; "),
                false => sent.join("; "),
            };
            let (status, _) = send(&self.app, "/read", Some(header(&changed))).await;
            assert_eq!(status, StatusCode::OK, "{what}: the written session");
        }
        assert!(
            no_sessions || !self.visit.has_session() || !self.pairs.is_empty(),
            "{what}"
        );
    }

    /// The same with this many other cookies before its own, if it brings a session.
    pub fn with_others(mut self, count: usize) -> Self {
        if !self.visit.has_session() {
            return self;
        }
        let others = (0..count).map(|n| format!("other{n}=a-value-of-24-characters"));
        let all: Vec<_> = others.chain(self.pairs.clone()).collect();
        self.cookies = Some(header(&all.join("; ")));
        self
    }

    /// The value of its `Cookie` header.
    pub fn cookies(&self) -> Option<&str> {
        self.cookies.as_ref()?.to_str().ok()
    }

    /// The time of this many requests, from routing to dropping the response. Building them is not
    /// timed.
    pub async fn time(&self, times: u64) -> Duration {
        let (mut spent, mut left) = (Duration::ZERO, times);
        while left > 0 {
            let batch = left.min(BATCH);
            let requests: Vec<_> = (0..batch).map(|_| self.request()).collect();
            let start = Instant::now();
            for request in requests {
                let response = self.app.clone().oneshot(request).await;
                drop(response.expect("routers do not fail"));
            }
            spent += start.elapsed();
            left -= batch;
        }
        spent
    }

    pub fn request(&self) -> Request<Body> {
        request(self.visit.path(), self.cookies.clone())
    }
}

/// A header value in a shared buffer, as in hyper.
fn header(text: &str) -> HeaderValue {
    let buffer = Bytes::copy_from_slice(text.as_bytes());
    let _other_parts = buffer.clone();
    HeaderValue::from_maybe_shared(buffer).expect("ASCII")
}

fn request(path: &str, cookies: Option<HeaderValue>) -> Request<Body> {
    let mut request = Request::get(path)
        .header(HOST, "shop.example")
        .header(
            USER_AGENT,
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        )
        .header("accept", "text/html,application/xhtml+xml");
    if let Some(cookies) = cookies {
        request = request.header(COOKIE, cookies);
    }
    request.body(Body::empty()).expect("a request")
}

async fn send(app: &Router, path: &str, cookies: Option<HeaderValue>) -> (StatusCode, Vec<String>) {
    let response = app.clone().oneshot(request(path, cookies)).await;
    let response: Response<_> = response.expect("routers do not fail");
    let lines = response.headers().get_all(SET_COOKIE).into_iter();
    let pairs = lines.map(|line| {
        let line = line.to_str().expect("ASCII");
        line.split(';').next().unwrap_or_default().to_owned()
    });
    // a browser does not send removed cookies
    let kept = pairs.filter(|pair| {
        pair.split_once('=')
            .is_some_and(|(_, value)| !value.is_empty())
    });
    (response.status(), kept.collect())
}
