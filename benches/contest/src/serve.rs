//! A contestant as a server, for `wrk`.

use std::{error::Error, net::Ipv4Addr};

use tokio::net::TcpListener;

use contest::contestants::{Contestant, Size, Visit, Visitor};

/// Serves a contestant's medium sessions on loopback. Prints the address and the `Cookie` header.
pub async fn serve(contestant: &Contestant, port: u16) -> Result<(), Box<dyn Error>> {
    let visitor = Visitor::new(contestant, Visit::Read, Size::Medium).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!(
        "{}\t{}",
        listener.local_addr()?,
        visitor.cookies().unwrap_or_default()
    );
    Ok(axum::serve(listener, visitor.app).await?)
}
