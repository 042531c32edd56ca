//! `cargo bench`: the cost of sealing, of opening and of whole requests, compared with the floor
//! and the limit. `contest` measures the peers. README.md has the figures.

// the package `contest` uses the other items
#[allow(dead_code, unreachable_pub)]
mod contestants;

use axum::http::{HeaderMap, header::SET_COOKIE};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tower_sealed_session::{KeyRing, SessionLayer, testing};

use contestants::{Contestant, Size, Visit, Visitor, floor::FLOOR, limit::LIMIT, ours::OURS};

const CONTESTANTS: [Contestant; 3] = [FLOOR, LIMIT, OURS];

/// Without a request: from a session to its `Cookie` header (record, seal, base64, name), and back.
fn seal_and_open(criterion: &mut Criterion) {
    let layer = SessionLayer::new(KeyRing::ephemeral().expect("entropy"));
    for size in Size::ALL {
        let session = testing::session(&layer);
        session.write(&size.values()).expect("it fits");
        let cookie = || testing::cookie(&layer, &session).expect("entropy");
        let received = HeaderMap::from_iter([(SET_COOKIE, cookie())]);
        let opened = || testing::received(&layer, &received).expect("a valid session");
        assert!(opened().contains_key("csrf"));
        criterion
            .benchmark_group("seal")
            .bench_function(size.name(), |bencher| bencher.iter(cookie));
        criterion
            .benchmark_group("open")
            .bench_function(size.name(), |bencher| bencher.iter(opened));
    }
}

fn requests(criterion: &mut Criterion) {
    for visit in Visit::ALL {
        for size in Size::ALL {
            if visit.has_size() || size == Size::Small {
                request(criterion, visit, size);
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

fn request(criterion: &mut Criterion, visit: Visit, size: Size) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group(format!("{}/{}", visit.name(), size.name()));
    for contestant in &CONTESTANTS {
        let visitor = runtime.block_on(Visitor::new(contestant, visit, size));
        group.bench_function(contestant.name, |bencher| {
            bencher.iter_custom(|times| runtime.block_on(visitor.time(times)));
        });
    }
}

/// A read of the small session after this many other cookies.
fn other_cookies(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("other cookies");
    for others in [0, 10, 50, 100] {
        let visitor = runtime.block_on(Visitor::new(&OURS, Visit::Read, Size::Small));
        let visitor = visitor.with_others(others);
        group.bench_function(BenchmarkId::from_parameter(others), |bencher| {
            bencher.iter_custom(|times| runtime.block_on(visitor.time(times)));
        });
    }
}

criterion_group!(benches, seal_and_open, requests, other_cookies);
criterion_main!(benches);
