//! Sessions in Redis: the contestants, the settings of the server, and the size at rest.

use redis::{aio::MultiplexedConnection, cmd};
use tower_sealed_session::store::RedisStore;
use tower_sessions_redis_store::{
    RedisStore as PeersStore,
    fred::prelude::{ClientLike as _, Config, Pool},
};

use crate::{
    Result,
    contestant::{Access, Begin, Contestant},
    floor::{self, connect},
    load::fill,
    ours, peer,
};

/// `connections`: how many the peer's pool has. Its other settings are the default ones.
pub async fn start(url: &str, connections: usize) -> Result<Vec<Contestant>> {
    let app = ours::app(RedisStore::connect(url).await?)?;
    let pool = Pool::new(Config::from_url(url)?, None, None, None, connections)?;
    pool.init().await?;
    let peer = peer::app(PeersStore::new(pool));
    let floor = floor::app(url).await?;
    let logged_in = "tower-sealed-session, logged in";
    Ok([
        (ours::NAME, Begin::Visit, app.clone()),
        (peer::NAME, Begin::Visit, peer),
        (logged_in, Begin::Login, app),
        (floor::NAME, Begin::Visit, floor),
    ]
    .map(|(name, begin, app)| Contestant {
        name,
        begin,
        access: Access::call(app),
    })
    .into())
}

/// Prints `setting name value` for the version and for the settings that decide about durability.
pub async fn print_settings(url: &str) -> Result<()> {
    let mut server = connect(url).await?;
    let version = info(&mut server, "server", "redis_version").await?;
    println!("setting\tredis_version\t{version}");
    for name in ["save", "appendonly", "io-threads"] {
        let mut get = cmd("CONFIG");
        let (_, value): (String, String) = get
            .arg("GET")
            .arg(name)
            .query_async::<Vec<(String, String)>>(&mut server)
            .await?
            .pop()
            .ok_or("no such setting")?;
        println!("setting\t{name}\t{value}");
    }
    Ok(())
}

/// Creates that many sessions of each contestant, and returns the bytes that one takes of the
/// server's memory, with its part of all tables and indexes. Logged-in sessions have an owner each.
///
/// Prints `size contestant sessions bytes_per_session`.
pub async fn sizes(url: &str, contestants: &[Contestant], sessions: u64) -> Result<Vec<f64>> {
    let mut server = connect(url).await?;
    let mut sizes = Vec::new();
    for contestant in contestants {
        // connections and scripts take their memory before
        fill(contestant, 100).await?;
        clear(&mut server).await?;
        let before: f64 = info(&mut server, "memory", "used_memory").await?.parse()?;
        fill(contestant, sessions).await?;
        let after: f64 = info(&mut server, "memory", "used_memory").await?.parse()?;
        clear(&mut server).await?;
        let each = (after - before) / sessions as f64;
        println!("size\t{}\t{sessions}\t{each:.1}", contestant.name);
        sizes.push(each);
    }
    Ok(sizes)
}

async fn clear(server: &mut MultiplexedConnection) -> Result<()> {
    Ok(cmd("FLUSHALL").arg("SYNC").exec_async(server).await?)
}

async fn info(server: &mut MultiplexedConnection, section: &str, name: &str) -> Result<String> {
    let text: String = cmd("INFO").arg(section).query_async(server).await?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.find(|(found, _)| *found == name);
    Ok(found.ok_or("no such information")?.1.to_owned())
}
