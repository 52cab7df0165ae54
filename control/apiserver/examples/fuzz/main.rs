//! Throws damaged input at everything that reads what strangers send: bodies in JSON, YAML and protobuf, the patches,
//! selectors, amounts, expressions, continue tokens and frames.
//!
//! ```text
//! cargo run -p coracle-control-apiserver --example fuzz [SECONDS [SEED]]        60 seconds unless told
//! ```
//! Inputs are made of good ones by small damages, from a seed that is printed, so that a run can be repeated. A run fails
//! when something panics, takes longer than [`SLOW`], or is answered with a 500 that upstream would not give.

#![expect(clippy::print_stdout, reason = "what was found is this program's output")]

mod codecs;
mod mutate;
mod requests;

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutate::Mutator;

/// No input of a few kilobytes may keep a thread for longer, even in a build without optimisation.
const SLOW: Duration = Duration::from_secs(10);
/// Inputs of one target before the next has its turn.
const ROUND: usize = 50;

/// Reads one input; the error is what is wrong with the reader.
type Read = Box<dyn Fn(&[u8]) -> Result<(), String>>;

/// Something that reads bytes.
struct Target {
    name: &'static str,
    /// Good inputs, of which the others are made.
    seeds: Vec<Vec<u8>>,
    read: Read,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let seed: u64 = arguments.next().map_or(Ok(now.as_secs()), |text| text.parse())?;
    println!("fuzz: {seconds} s, seed {seed}");
    let server = requests::Server::start()?;
    let mut targets = codecs::targets();
    targets.extend(codecs::small_targets());
    targets.extend(requests::targets(&server));
    let mut counts = vec![0_usize; targets.len()];
    let mut mutator = Mutator::new(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for (target, count) in targets.iter().zip(&mut counts) {
            for _ in 0..ROUND {
                let input = mutator.damaged(&target.seeds);
                check(target, &input)?;
                *count += 1;
            }
        }
    }
    for (target, count) in targets.iter().zip(counts) {
        println!("{:>10} inputs to {}", count, target.name);
    }
    Ok(())
}

/// # Errors
/// The input, when the reader does not take it as it should.
fn check(target: &Target, input: &[u8]) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let found = match catch_unwind(AssertUnwindSafe(|| (target.read)(input))) {
        Ok(Ok(())) if start.elapsed() < SLOW => return Ok(()),
        Ok(Ok(())) => format!("took {:?}", start.elapsed()),
        Ok(Err(what)) => what,
        Err(_) => "panicked".to_owned(),
    };
    Err(format!("{} {found}\nwith the input b\"{}\"", target.name, input.escape_ascii()).into())
}
