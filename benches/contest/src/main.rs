//! Measures all contestants in one run. `../report.py` reads the output. `../run` calls both.

mod recorder;
mod rounds;
mod serve;
mod slices;

use std::error::Error;

use contest::{
    CONTESTANTS,
    contestants::{Contestant, Size, Visit, Visitor},
};
use tokio::runtime::Builder;

const USAGE: &str = "contest times [ROUNDS [SLICE_MS [VISIT [SIZE]]]] | contest sizes
    | contest slices
    | contest repeat CONTESTANT VISIT SIZE TIMES [OTHER_COOKIES] | contest serve CONTESTANT PORT";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut runtime = match args[..] {
        // most servers use several threads
        ["serve", ..] => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(run(&args))
}

async fn run(args: &[&str]) -> Result<(), Box<dyn Error>> {
    match *args {
        ["times", ref rest @ ..] => {
            let number = |at: usize, otherwise| rest.get(at).map_or(Ok(otherwise), |n| n.parse());
            let chosen = |visit: Visit, size: Size| {
                rest.get(2).is_none_or(|name| *name == visit.name())
                    && rest.get(3).is_none_or(|name| *name == size.name())
            };
            rounds::times(number(0, 61)?, number(1, 4)?, chosen).await;
        }
        ["sizes"] => sizes().await,
        ["slices"] => slices::answer().await?,
        ["repeat", name, visit, size, times, ref others @ ..] => {
            let others = others.first().map_or(Ok(2), |n| n.parse())?;
            let visitor = visitor(name, visit, size).await?.with_others(others);
            visitor.time(times.parse()?).await;
        }
        ["serve", name, port] => serve::serve(&contestant(name)?, port.parse()?).await?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn contestant(name: &str) -> Result<Contestant, String> {
    let found = CONTESTANTS
        .iter()
        .find(|contestant| contestant.name == name);
    found.copied().ok_or(format!("no contestant {name}"))
}

async fn visitor(name: &str, visit: &str, size: &str) -> Result<Visitor, String> {
    let visit = Visit::ALL.into_iter().find(|known| known.name() == visit);
    let size = Size::ALL.into_iter().find(|known| known.name() == size);
    match (visit, size) {
        (Some(visit), Some(size)) => Ok(Visitor::new(&contestant(name)?, visit, size).await),
        _ => Err(USAGE.to_owned()),
    }
}

/// Prints `size contestant bytes` for the cookies that a browser sends back.
async fn sizes() {
    for size in Size::ALL {
        for contestant in &CONTESTANTS {
            let visitor = Visitor::new(contestant, Visit::Read, size).await;
            let bytes = visitor.pairs.join("; ").len();
            println!("{}\t{}\t{bytes}", size.name(), contestant.name);
        }
    }
}
