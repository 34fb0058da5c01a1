//! A client in a pod: calls a URL and says what came of it, as one line of JSON.

use clap::Parser;
use e2e::client::Call;
use serde_json::json;

#[derive(Parser)]
#[command(about = "Calls a URL and says what came of it")]
struct Arguments {
    /// What to call: `http://<host>[:<port>]<path>`.
    url: String,
    /// How often.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// How often in a second.
    #[arg(long, default_value_t = 100)]
    per_second: u32,
    /// Shows the answer of one call instead of counting.
    #[arg(long)]
    show: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let call = Call::url(&arguments.url)?;
    let outcome = if arguments.show {
        let answer = call.from_here()?;
        json!({ "status": answer.status.as_u16(), "body": answer.json(), "text": answer.text() })
    } else {
        let tally = call.tally_from_here(arguments.times, arguments.per_second)?;
        json!({ "succeeded": tally.succeeded, "failures": tally.failures })
    };
    println!("{outcome}");
    Ok(())
}
