//! Opening the store that a URL names.

use std::{env, pin::Pin};

use super::{
    any::AnyStore,
    error::{StoreError, StoreErrorKind},
};

type Opening<'a> = Pin<Box<dyn Future<Output = Result<AnyStore, StoreError>> + Send + 'a>>;

/// A kind of store.
struct Kind {
    schemes: &'static [&'static str],
    /// The feature that brings it, and its name.
    feature: &'static str,
    /// `None`: the feature is off.
    open: Option<for<'a> fn(&'a str) -> Opening<'a>>,
}

macro_rules! kind {
    ($schemes:expr, $feature:literal, |$url:ident| $open:expr) => {
        Kind {
            schemes: &$schemes,
            feature: $feature,
            #[cfg(feature = $feature)]
            open: Some(|$url| Box::pin(async move { Ok(AnyStore::new($open)) })),
            #[cfg(not(feature = $feature))]
            open: None,
        }
    };
}

static KINDS: [Kind; 5] = [
    kind!(
        ["memory"],
        "memory",
        |_url| super::memory::MemoryStore::new()
    ),
    kind!(["sqlite"], "sqlite", |url| {
        super::sql::SqliteStore::connect(url).await?
    }),
    kind!(["postgres", "postgresql"], "postgres", |url| {
        super::sql::PostgresStore::connect(url).await?
    }),
    kind!(["mysql", "mariadb"], "mysql", |url| {
        super::sql::MySqlStore::connect(url).await?
    }),
    kind!(
        [
            "redis",
            "rediss",
            "unix",
            "redis+unix",
            "valkey",
            "valkeys",
            "valkey+unix"
        ],
        "redis",
        |url| super::redis::RedisStore::connect(url).await?
    ),
];

/// Opens the store that a URL names, by its scheme:
///
/// | URL | store | feature |
/// |---|---|---|
/// | `memory:` | `MemoryStore` | `memory` |
/// | `sqlite:sessions.db` | `SqliteStore` | `sqlite` |
/// | `postgres://user:password@host/database` | `PostgresStore` | `postgres` |
/// | `mysql://user:password@host/database` | `MySqlStore` | `mysql` |
/// | `redis://user:password@host/0`, `redis://host,other:6380`, `unix:///path/to/socket` | `RedisStore` | `redis` |
///
/// Must be called within a Tokio runtime that lives as long as the store. Call
/// [`create_schema`](AnyStore::create_schema) next, which does nothing in stores without a schema.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_sealed_session::{SessionLayer, store};
///
/// let store = store::connect("postgres://localhost/app").await?;
/// store.create_schema().await?;
/// let sessions = SessionLayer::from_env()?.store(store);
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`StoreErrorKind::Config`] if no store has this scheme, or if its feature is off. Otherwise the
/// same as for `connect` of the store.
pub async fn connect(url: &str) -> Result<AnyStore, StoreError> {
    match kind(url).map(|kind| kind.open.ok_or(kind.feature)) {
        Some(Ok(open)) => open(url).await,
        Some(Err(feature)) => Err(config(format!(
            "the store of this URL is not compiled in: add the feature `{feature}` of \
             tower-sealed-session to Cargo.toml"
        ))),
        None => Err(config(format!(
            "no store has the scheme of this URL: use one of {}",
            schemes()
        ))),
    }
}

/// The kind of store that a URL names, by its scheme: `memory`, `sqlite`, `postgres`, `mysql` or
/// `redis`. The metrics have it as the label `store`. `None`: no store has this scheme.
#[must_use]
pub fn kind_of(url: &str) -> Option<&'static str> {
    kind(url).map(|kind| kind.feature)
}

fn kind(url: &str) -> Option<&'static Kind> {
    let scheme = url.split(':').next().unwrap_or_default();
    KINDS.iter().find(|kind| kind.schemes.contains(&scheme))
}

/// Opens the store that the environment names: by `SESSION_STORE_URL`, any store; otherwise by
/// `SESSION_DB_URL`, a store in an SQL database; otherwise by `REDIS_URL`, Redis.
///
/// # Errors
///
/// [`StoreErrorKind::Config`] if no variable is set, or if its URL is not one of its kind.
/// Otherwise the same as for [`connect`].
pub async fn from_env() -> Result<AnyStore, StoreError> {
    const VARIABLES: [(&str, &[&str]); 3] = [
        ("SESSION_STORE_URL", &[]),
        (
            "SESSION_DB_URL",
            &["sqlite", "postgres", "mysql", "mariadb"],
        ),
        ("REDIS_URL", &["redis", "unix", "valkey"]),
    ];
    for (name, allowed) in VARIABLES {
        let Some(url) = env::var_os(name).filter(|url| !url.is_empty()) else {
            continue;
        };
        let invalid = || {
            let schemes = match allowed {
                [] => schemes(),
                allowed => allowed.join("://, ") + "://",
            };
            config(format!(
                "invalid {name}: set it to a URL with one of {schemes}"
            ))
        };
        let url = url.to_str().ok_or_else(invalid)?;
        if !allowed.is_empty() && !allowed.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(invalid());
        }
        return connect(url).await;
    }
    Err(config(format!(
        "no store is set: set SESSION_STORE_URL to a URL with one of {}",
        schemes()
    )))
}

/// The schemes that are compiled in.
fn schemes() -> String {
    let kinds = KINDS.iter().filter(|kind| kind.open.is_some());
    let schemes: Vec<_> = kinds.map(|kind| format!("{}:", kind.schemes[0])).collect();
    match schemes.is_empty() {
        true => "(none: add a feature, such as `postgres` or `redis`)".to_owned(),
        false => schemes.join(", "),
    }
}

fn config(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Config).message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_schemes_are_refused_without_showing_the_url() {
        for url in [
            "",
            "hunter2",
            "postgre://:hunter2@host/",
            "Redis://:hunter2@host",
        ] {
            let error = connect(url).await.expect_err("no such store");
            assert_eq!(error.kind(), StoreErrorKind::Config);
            let text = format!("{error} {error:?}");
            assert!(
                text.contains("use one of") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }

    #[test]
    fn kinds_are_named_by_their_main_scheme() {
        for (url, kind) in [
            ("memory:", Some("memory")),
            ("sqlite:sessions.db", Some("sqlite")),
            ("postgresql://host/app", Some("postgres")),
            ("mariadb://host/app", Some("mysql")),
            ("rediss://host", Some("redis")),
            ("unix:///run/redis.sock", Some("redis")),
            ("valkey://host", Some("redis")),
            ("https://host", None),
            ("", None),
        ] {
            assert_eq!(kind_of(url), kind, "{url}");
        }
    }

    #[tokio::test]
    async fn store_that_is_not_compiled_in_names_its_feature() {
        for kind in KINDS.iter().filter(|kind| kind.open.is_none()) {
            for scheme in kind.schemes {
                let error = connect(&format!("{scheme}://host")).await.expect_err("off");
                let feature = format!("the feature `{}`", kind.feature);
                assert!(error.to_string().contains(&feature), "{error}");
            }
        }
    }
}
