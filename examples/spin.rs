//! A server whose handler keeps its worker's CPU busy for 100 µs: what does a second worker bring?
//! `scripts/scale.sh` runs it; the argument is the number of workers.

use std::io::Write;
use std::time::{Duration, Instant};

use kolk::{App, Request, Server, Workers};

/// So much longer than a request costs that the client's share of the CPUs does not matter.
const WORK: Duration = Duration::from_micros(100);

#[expect(clippy::disallowed_methods, reason = "the example measures time itself")]
fn spin(_: &Request<'_>) -> &'static str {
    let begun = Instant::now();
    while begun.elapsed() < WORK {
        std::hint::spin_loop();
    }
    "done\n"
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workers = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let server = Server::new(App::new().get("/", spin));
    let running = server.workers(Workers::Exactly(workers)).listen("127.0.0.1:0")?.start()?;
    for address in running.addrs() {
        writeln!(std::io::stdout(), "listening http://{address}")?;
    }
    Ok(running.join()?)
}
