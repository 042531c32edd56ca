//! An app that kept its sessions in a dictionary and a JSON file, before and after the move to a
//! store. `guide::from_a_file` has all steps.
//!
//! ```sh
//! cargo run --example onboarding --features sqlite -- before     # writes parsed_sessions.json
//! curl -c jar -d name=ada http://localhost:3000/login
//! curl -b jar -d theme=dark http://localhost:3000/theme
//! curl -b jar http://localhost:3000/                             # hello ada, theme dark
//!
//! export SESSION_SECRET="$(openssl rand -base64 32)" SESSION_STORE_URL=sqlite:sessions.db
//! cargo run -p sealed-session -- schema sqlite | sqlite3 sessions.db
//! cargo run -p sealed-session -- import parsed_sessions.json
//! cargo run --example onboarding --features sqlite -- after
//! curl -b jar http://localhost:3000/                             # nobody
//! curl -c jar -d name=ada http://localhost:3000/login
//! curl -b jar http://localhost:3000/                             # hello ada, theme dark
//! ```
//!
//! Environment variables: `PORT` (default 3000); after the move also `SESSION_SECRET` and
//! `SESSION_STORE_URL`. Any name can log in. A real app would ask for a password.

use std::{env, process::ExitCode};

use axum::Router;
use serde::Deserialize;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let app = match env::args().nth(1).as_deref() {
        Some("before") => before::app(),
        Some("after") => after::app().await,
        _ => Err("say which app: before or after".into()),
    };
    match serve(app).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn serve(app: Result<Router>) -> Result<()> {
    let app = app?;
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[derive(Deserialize)]
struct Theme {
    theme: String,
}

fn greeting(name: Option<&str>, theme: Option<&str>) -> String {
    match name {
        None => "nobody".to_owned(),
        Some(name) => format!("hello {name}, theme {}", theme.unwrap_or("light")),
    }
}

/// Sessions in a dictionary and a file: plain text, never expired, and written as a whole.
mod before {
    use std::{
        collections::BTreeMap,
        fs,
        sync::{Arc, Mutex, PoisonError},
        time::SystemTime,
    };

    use axum::{
        Form, Router,
        extract::State,
        http::{HeaderMap, StatusCode, header::COOKIE, header::SET_COOKIE},
        response::{AppendHeaders, IntoResponse},
        routing::{get, post},
    };
    use serde_json::{Value, json};

    use super::{Login, Result, Theme, greeting};

    const FILE: &str = "parsed_sessions.json";

    type Sessions = Arc<Mutex<BTreeMap<String, Value>>>;

    pub(super) fn app() -> Result<Router> {
        let sessions = match fs::read(FILE) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(_) => BTreeMap::new(),
        };
        Ok(Router::new()
            .route("/", get(hello))
            .route("/login", post(log_in))
            .route("/theme", post(set_theme))
            .with_state(Arc::new(Mutex::new(sessions))))
    }

    async fn log_in(
        State(sessions): State<Sessions>,
        Form(login): Form<Login>,
    ) -> impl IntoResponse {
        let nanos = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_nanos();
        let id = format!("{nanos:x}"); // an attacker can guess it
        change(&sessions, |all| {
            let session = json!({"env_vars": {}, "user_id": login.name});
            all.insert(id.clone(), session);
        });
        AppendHeaders([(SET_COOKIE, format!("session_id={id}; Path=/"))])
    }

    async fn set_theme(
        State(sessions): State<Sessions>,
        headers: HeaderMap,
        Form(theme): Form<Theme>,
    ) -> StatusCode {
        let found = change(&sessions, |all| {
            let session = all.get_mut(id(&headers)?)?;
            session["env_vars"]["THEME"] = theme.theme.into();
            Some(())
        });
        match found {
            Some(()) => StatusCode::OK,
            None => StatusCode::UNAUTHORIZED,
        }
    }

    async fn hello(State(sessions): State<Sessions>, headers: HeaderMap) -> String {
        let all = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = id(&headers).and_then(|id| all.get(id));
        let name = session.and_then(|session| session["user_id"].as_str());
        let theme = session.and_then(|session| session["env_vars"]["THEME"].as_str());
        greeting(name, theme)
    }

    fn change<T>(sessions: &Sessions, act: impl FnOnce(&mut BTreeMap<String, Value>) -> T) -> T {
        let mut all = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut all);
        let text = serde_json::to_string(&*all).unwrap_or_default();
        if let Err(error) = fs::write(FILE, text) {
            eprintln!("sessions are lost: {error}");
        }
        done
    }

    fn id(headers: &HeaderMap) -> Option<&str> {
        let cookies = headers.get(COOKIE)?.to_str().ok()?;
        let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(name, value)| (name == "session_id").then_some(value))
    }
}

/// Sealed sessions in a store.
mod after {
    use std::collections::BTreeMap;

    use axum::{
        Form, Router,
        routing::{get, post},
    };
    use tower_sealed_session::{Error, Owner, Session, SessionLayer, store};

    use super::{Login, Result, Theme, greeting};

    type Vars = BTreeMap<String, String>;

    pub(super) async fn app() -> Result<Router> {
        let store = store::from_env().await?;
        store.create_schema().await?;
        let sessions = SessionLayer::from_env()?.store(store);
        Ok(Router::new()
            .route("/", get(hello))
            .route("/login", post(log_in))
            .route("/theme", post(set_theme))
            .layer(sessions))
    }

    async fn log_in(session: Session, Form(login): Form<Login>) -> std::result::Result<(), Error> {
        session.login(login.name)?;
        session.adopt_imported().await?;
        Ok(())
    }

    async fn set_theme(
        owner: Owner,
        session: Session,
        Form(theme): Form<Theme>,
    ) -> std::result::Result<(), Error> {
        let _ = owner;
        session.update("env_vars", move |vars: Option<Vars>| {
            let mut vars = vars.unwrap_or_default();
            vars.insert("THEME".to_owned(), theme.theme.clone());
            vars
        })?;
        Ok(())
    }

    async fn hello(session: Session) -> std::result::Result<String, Error> {
        let vars = session.get::<Vars>("env_vars")?.unwrap_or_default();
        let theme = vars.get("THEME").map(String::as_str);
        Ok(greeting(session.owner().as_deref(), theme))
    }
}
