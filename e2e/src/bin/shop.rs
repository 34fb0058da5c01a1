//! A service of the shop, as a process.

use clap::Parser;
use e2e::shop::{Shop, serve};

#[derive(Parser)]
#[command(about = "A service of the shop")]
struct Arguments {
    #[command(flatten)]
    shop: Shop,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    serve(Arguments::parse().shop).await
}
