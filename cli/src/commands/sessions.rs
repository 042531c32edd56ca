use std::time::SystemTime;

use clap::Args;
use serde::Serialize;

use crate::{
    exit::{Exit, Outcome},
    input,
    keys::App,
    output::{self, count, moment_from, rfc3339},
    stores::{PATIENCE, StoreArgs},
};

/// List the sessions of an owner in a store, at most 1000
///
/// Each has a name, which gives no access. To end it: revoke --owner OWNER --session NAME
#[derive(Args)]
pub(crate) struct Sessions {
    /// The owner, or "-" to read it from stdin
    owner: String,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: App,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    created: String,
    last_used: String,
    expires: String,
}

impl Sessions {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let owner = input::owner(&self.owner)?;
        let store = self.store.connect().await?;
        let builder = self.app.builder()?.store(store).store_timeout(PATIENCE);
        let sessions = builder.build()?.list_owner(&owner).await?;
        let now = SystemTime::now().into();
        if json {
            let listed = sessions.iter().map(|session| Listed {
                name: session.name(),
                created: rfc3339(session.view().created_at()),
                last_used: rfc3339(session.last_used_at()),
                expires: rfc3339(session.view().expires_at()),
            });
            output::print_json(&listed.collect::<Vec<_>>())?;
            return Ok(Exit::Done);
        }
        let mut text = String::new();
        for session in &sessions {
            text.push_str(&format!(
                "{}\n  created    {}\n  last used  {}\n  expires    {}\n",
                session.name(),
                moment_from(session.view().created_at(), now),
                moment_from(session.last_used_at(), now),
                moment_from(session.view().expires_at(), now),
            ));
        }
        output::print(&text)?;
        output::note(count(sessions.len() as u64, "session"));
        Ok(Exit::Done)
    }
}
