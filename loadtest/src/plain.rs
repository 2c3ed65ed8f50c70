//! A load by memcache-async, one task for each connection: the view of an ordinary
//! client. Dearer than `drive`, and made by others, so that the two can be checked
//! against each other. It writes with "noreply": a set counts once it is sent, and the
//! reads show whether it was stored.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use memcache_async::ascii::Protocol;
use tokio::task::LocalSet;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::cli::Run;
use crate::drive::DriveError;
use crate::stream::{self, Stream};
use crate::tally::{Meter, Outcome, Tally};
use crate::workload::{Keyspace, Op, Workload};

/// The longest time between two looks at the clock.
const TICK: Duration = Duration::from_millis(20);

type Client = Protocol<Compat<Stream>>;

/// Puts the load on the targets until the meter has what it wants.
///
/// # Errors
/// Where a connection cannot be made.
pub(crate) async fn drive(
    args: &Run,
    workload: Workload,
    meter: impl FnOnce(Instant) -> Meter,
) -> Result<Tally, DriveError> {
    let workload = Rc::new(workload);
    let mut clients = Vec::new();
    for number in 0..args.connections {
        let target = number % args.targets.len();
        let address = &args.targets[target].address;
        let stream = stream::connect(address).await;
        let stream = stream.map_err(|error| DriveError::Connect(address.to_string(), error))?;
        clients.push((target, Protocol::new(stream.compat())));
    }
    let now = Instant::now();
    let mut meter = meter(now);
    meter.tick(now)?;
    let meter = Rc::new(RefCell::new(meter));
    let tasks = LocalSet::new();
    let mut running = Vec::new();
    for (number, (target, client)) in clients.into_iter().enumerate() {
        let position = number * workload.script.len() / args.connections;
        let (workload, meter) = (Rc::clone(&workload), Rc::clone(&meter));
        running.push(tasks.spawn_local(ask(client, workload, target, position, meter)));
    }
    tasks.run_until(watch(&meter, &running)).await?;
    drop(tasks);
    let mut meter = meter.borrow_mut();
    meter.close(Instant::now())?;
    Ok(meter.tally.clone())
}

/// Opens and closes the window, and waits until all clients are done.
async fn watch(
    meter: &RefCell<Meter>,
    running: &[tokio::task::JoinHandle<()>],
) -> Result<(), DriveError> {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        meter.borrow_mut().tick(Instant::now())?;
        if running.iter().all(tokio::task::JoinHandle::is_finished) {
            return Ok(());
        }
    }
}

async fn ask(
    mut client: Client,
    workload: Rc<Workload>,
    target: usize,
    mut position: usize,
    meter: Rc<RefCell<Meter>>,
) {
    let keyspace = &workload.keyspaces[target];
    while meter.borrow_mut().admit() {
        let op = workload.script[position];
        position = (position + 1) % workload.script.len();
        let since = Instant::now();
        let outcome = one(&mut client, keyspace, op).await;
        let is_lost = matches!(&outcome, Outcome::Error(_));
        meter.borrow_mut().record(op, since.elapsed(), outcome);
        if is_lost {
            return;
        }
    }
}

async fn one(client: &mut Client, keyspace: &Keyspace, op: Op) -> Outcome {
    match op {
        Op::Get(key) => match client.get(&keyspace.names[key as usize]).await {
            Ok(value) => compared(keyspace, key, &value),
            Err(error) => failed(&error),
        },
        Op::Set(key) => {
            let (name, value) = (
                &keyspace.names[key as usize],
                keyspace.items[key as usize].value(),
            );
            match client.set(name, value, 0).await {
                Ok(()) => Outcome::Stored,
                Err(error) => failed(&error),
            }
        }
        Op::MultiGet(number) => many(client, keyspace, number).await,
    }
}

async fn many(client: &mut Client, keyspace: &Keyspace, number: u32) -> Outcome {
    let keys = &keyspace.multigets[number as usize].keys;
    let names: Vec<&String> = keys
        .iter()
        .map(|key| &keyspace.names[*key as usize])
        .collect();
    let values = match client.get_multi(&names).await {
        Ok(values) => values,
        Err(error) => return failed(&error),
    };
    let mut missing = 0;
    for key in keys {
        match values.get(&keyspace.names[*key as usize]) {
            None => missing += 1,
            Some(value) => match compared(keyspace, *key, value) {
                Outcome::Hit => {}
                wrong => return wrong,
            },
        }
    }
    if missing > 0 {
        Outcome::Miss(missing)
    } else {
        Outcome::Hit
    }
}

fn compared(keyspace: &Keyspace, key: u32, value: &[u8]) -> Outcome {
    if value == keyspace.items[key as usize].value() {
        return Outcome::Hit;
    }
    let name = &keyspace.names[key as usize];
    Outcome::Wrong(format!("{name} came with another value"))
}

fn failed(error: &Error) -> Outcome {
    match error.kind() {
        ErrorKind::NotFound => Outcome::Miss(1),
        _ => Outcome::Error(error.to_string()),
    }
}
