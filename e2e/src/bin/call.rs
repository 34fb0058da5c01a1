//! A client in a pod: calls a URL and says what came of it, as lines of JSON.

use std::time::Duration;

use clap::Parser;
use e2e::client::{Call, GrpcCall, Load, Tally};
use e2e::story::eventually;
use serde_json::{Value, json};

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
    /// By what method.
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// A header to send, as `name: value`.
    #[arg(long, value_parser = header)]
    header: Vec<(String, String)>,
    /// Shows each answer, one a line, instead of counting; as fast as they come, up to the first call without one.
    #[arg(long)]
    answers: bool,
    /// The same of calls over gRPC, several at once.
    #[arg(long)]
    grpc: bool,
    /// Shows the answer of one call instead of counting.
    #[arg(long)]
    show: bool,
    /// Calls until standard input is closed, by so many clients at once; says `calling` once the first answer is there.
    #[arg(long)]
    clients_until_closed: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut call = Call::url(&arguments.url)?;
    call.method = arguments.method;
    call.headers = arguments.header;
    if arguments.answers {
        return show_answers(&call, arguments.times);
    }
    if arguments.grpc {
        return show_grpc(call, arguments.times);
    }
    let outcome = if arguments.show {
        let answer = call.from_here()?;
        json!({ "status": answer.status.as_u16(), "body": answer.json(), "text": answer.text() })
    } else if let Some(clients) = arguments.clients_until_closed {
        told(&call_until_closed(&call, clients, arguments.per_second)?)
    } else {
        told(&call.tally_from_here(arguments.times, arguments.per_second)?)
    };
    println!("{outcome}");
    Ok(())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is `name: value`")?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

fn show_answers(call: &Call, times: usize) -> anyhow::Result<()> {
    match call.repeat_from_here(times) {
        Ok(answers) => {
            for answer in answers {
                let micros = u64::try_from(answer.took.as_micros()).unwrap_or(u64::MAX);
                println!("{}", json!({ "status": answer.status.as_u16(), "text": answer.text(), "micros": micros }));
            }
        }
        Err(error) => println!("{}", json!({ "unanswered": error.root_cause().to_string() })),
    }
    Ok(())
}

fn show_grpc(call: Call, times: usize) -> anyhow::Result<()> {
    let call = GrpcCall { address: call.address, authority: call.authority, path: call.path };
    for (message, status) in call.repeat_from_here(times)? {
        println!("{}", json!({ "message": message, "status": status }));
    }
    Ok(())
}

/// Each client has a connection of its own, as long as the server keeps it.
fn call_until_closed(call: &Call, clients: usize, per_second: u32) -> anyhow::Result<Tally> {
    let loads: Vec<Load> = (0..clients).map(|_| Load::start_here(call.clone(), per_second)).collect();
    eventually(Duration::from_secs(20), || {
        anyhow::ensure!(loads.iter().all(|load| load.so_far().is_begun()), "no answer");
        Ok(())
    })?;
    println!("calling");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(loads.into_iter().map(Load::stop).fold(Tally::default(), Tally::and))
}

fn told(tally: &Tally) -> Value {
    json!({
        "succeeded": tally.succeeded,
        "failures": tally.failures,
        "connections": tally.connections,
        "slowest_ms": u64::try_from(tally.slowest.as_millis()).unwrap_or(u64::MAX),
    })
}
