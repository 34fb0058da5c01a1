//! Reaching an endpoint: nothing was sent yet, so one that takes long is raced by another (P07).

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use crate::fault::Fault;
use crate::pool::Client;
use crate::upstream::Pick;

/// An endpoint that is there is reached by then. One that is gone without a word, as a killed pod's address, is not.
const HEAD_START: Duration = Duration::from_secs(1);

/// Connects to the endpoint of `first` or, if that takes long and there is another, to whichever is reached first.
/// Returns the endpoint with the connection to it, or with why it cannot be reached.
pub(super) async fn reach(
    first: Pick,
    another: impl FnOnce(&Pick) -> Option<Pick>,
    connect: impl AsyncFn(&Pick) -> Result<Client, Fault>,
) -> (Pick, Result<Client, Fault>) {
    let mut second = None;
    let (winner, done) = race(&first, &mut second, another, connect).await;
    let second = second.filter(|_| winner == Winner::Second);
    (second.unwrap_or(first), done)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Winner {
    First,
    Second,
}

async fn race(
    first: &Pick,
    second: &mut Option<Pick>,
    another: impl FnOnce(&Pick) -> Option<Pick>,
    connect: impl AsyncFn(&Pick) -> Result<Client, Fault>,
) -> (Winner, Result<Client, Fault>) {
    let mut connecting = pin!(connect(first));
    if let Ok(done) = tokio::time::timeout(HEAD_START, &mut connecting).await {
        return (Winner::First, done);
    }
    *second = another(first);
    let Some(second) = second else { return (Winner::First, connecting.await) };
    let racing = pin!(connect(second));
    match select(connecting, racing).await {
        Either::Left((Ok(client), _)) => (Winner::First, Ok(client)),
        Either::Right((Ok(client), _)) => (Winner::Second, Ok(client)),
        Either::Left((Err(fault), racing)) => {
            first.unreached(&fault);
            (Winner::Second, racing.await)
        }
        Either::Right((Err(fault), connecting)) => {
            second.unreached(&fault);
            (Winner::First, connecting.await)
        }
    }
}
