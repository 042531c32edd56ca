//! Prints `visit size contestant allocations` for one request, from routing to dropping the
//! response. It is a separate program, because counting takes time.

use contest::{
    CONTESTANTS,
    contestants::{Size, Visit, Visitor},
};
use tower::ServiceExt as _;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for visit in Visit::ALL {
        for size in Size::ALL {
            for contestant in &CONTESTANTS {
                let visitor = runtime.block_on(Visitor::new(contestant, visit, size));
                runtime.block_on(visitor.time(2));
                let (app, request) = (visitor.app.clone(), visitor.request());
                let counted = allocation_counter::measure(|| {
                    let response = runtime.block_on(app.oneshot(request));
                    drop(response.expect("routers do not fail"));
                });
                let (visit, size, count) = (visit.name(), size.name(), counted.count_total);
                println!("{visit}\t{size}\t{}\t{count}", contestant.name);
            }
        }
    }
}
