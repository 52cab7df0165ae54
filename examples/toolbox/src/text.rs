//! Tools that read and print text.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{at, flags, say, usage};

/// A file, or standard input for `-`.
fn open(path: &str) -> io::Result<Box<dyn Read>> {
    if path == "-" {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path).map_err(at(path))?))
}

fn inputs<'a>(operands: &[&'a str]) -> Vec<&'a str> {
    if operands.is_empty() { vec!["-"] } else { operands.to_vec() }
}

/// Does something with each input; one that cannot be read is told and does not stop the others.
fn each(operands: &[&str], mut act: impl FnMut(&str, Box<dyn Read>) -> io::Result<()>) -> io::Result<bool> {
    let mut all = true;
    for path in inputs(operands) {
        match open(path).and_then(|input| act(path, input)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Err(error) => {
                eprintln!("{error}");
                all = false;
            }
            Ok(()) => {}
        }
    }
    Ok(all)
}

pub(crate) fn cat(arguments: &[String]) -> io::Result<bool> {
    let (_, operands) = flags(arguments, "u")?;
    let mut out = io::stdout().lock();
    each(&operands, |path, mut input| {
        let copied = copy_promptly(&mut input, &mut out);
        copied.map_err(at(path))
    })
}

/// Passes on what is there without waiting for more, as somebody at a terminal expects.
fn copy_promptly(input: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer)? {
            0 => return out.flush(),
            count => out.write_all(&buffer[..count])?,
        }
        out.flush()?;
    }
}

pub(crate) fn echo(arguments: &[String]) -> io::Result<bool> {
    match arguments.split_first() {
        Some((first, rest)) if first == "-n" => {
            write!(io::stdout(), "{}", rest.join(" "))?;
            io::stdout().flush()?;
            Ok(true)
        }
        _ => say(&arguments.join(" ")),
    }
}

pub(crate) fn env(_arguments: &[String]) -> io::Result<bool> {
    for (name, value) in std::env::vars() {
        say(&format!("{name}={value}"))?;
    }
    Ok(true)
}

pub(crate) fn printenv(arguments: &[String]) -> io::Result<bool> {
    if arguments.is_empty() {
        return env(arguments);
    }
    let mut all = true;
    for name in arguments {
        match std::env::var(name) {
            Ok(value) => all &= say(&value)?,
            Err(_) => all = false,
        }
    }
    Ok(all)
}

pub(crate) fn hostname(_arguments: &[String]) -> io::Result<bool> {
    say(&std::env::var("HOSTNAME").unwrap_or_default())
}

/// `-n 5`, `-n5`, `-5` and operands.
fn count_and_operands<'a>(arguments: &'a [String], tool: &str) -> io::Result<(usize, Vec<&'a str>)> {
    let (mut count, mut operands, mut rest) = (10, Vec::new(), arguments.iter());
    while let Some(argument) = rest.next() {
        let number = match argument.strip_prefix('-') {
            Some("n") => rest.next().map(String::as_str),
            Some("") | None => None,
            Some(letters) => Some(letters.strip_prefix('n').unwrap_or(letters)),
        };
        match number {
            Some(text) => match text.parse() {
                Ok(number) => count = number,
                Err(_) => return usage(&format!("{tool} [-n LINES] [FILE]...")),
            },
            None => operands.push(argument.as_str()),
        }
    }
    Ok((count, operands))
}

pub(crate) fn head(arguments: &[String]) -> io::Result<bool> {
    let (count, operands) = count_and_operands(arguments, "head")?;
    let mut out = BufWriter::new(io::stdout().lock());
    let done = each(&operands, |path, input| {
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        for _ in 0..count {
            line.clear();
            if input.read_until(b'\n', &mut line).map_err(at(path))? == 0 {
                break;
            }
            out.write_all(&line)?;
        }
        Ok(())
    });
    out.flush()?;
    done
}

pub(crate) fn tail(arguments: &[String]) -> io::Result<bool> {
    let (count, operands) = count_and_operands(arguments, "tail")?;
    let mut out = BufWriter::new(io::stdout().lock());
    let done = each(&operands, |path, input| {
        let mut input = BufReader::new(input);
        let mut kept = std::collections::VecDeque::new();
        loop {
            let mut line = Vec::new();
            if input.read_until(b'\n', &mut line).map_err(at(path))? == 0 {
                break;
            }
            kept.push_back(line);
            if kept.len() > count {
                kept.pop_front();
            }
        }
        kept.iter().try_for_each(|line| out.write_all(line))
    });
    out.flush()?;
    done
}

pub(crate) fn wc(arguments: &[String]) -> io::Result<bool> {
    let (asked, operands) = flags(arguments, "lwc")?;
    each(&operands, |path, input| {
        let (mut lines, mut words, mut bytes, mut inside) = (0_u64, 0_u64, 0_u64, false);
        for byte in BufReader::new(input).bytes() {
            let byte = byte.map_err(at(path))?;
            bytes += 1;
            lines += u64::from(byte == b'\n');
            let space = byte.is_ascii_whitespace();
            words += u64::from(!space && !inside);
            inside = !space;
        }
        let all = [('l', lines), ('w', words), ('c', bytes)];
        let shown = all.iter().filter(|(letter, _)| asked.is_empty() || asked.contains(letter));
        let mut line = shown.map(|(_, number)| number.to_string()).collect::<Vec<_>>().join(" ");
        if path != "-" {
            line = format!("{line} {path}");
        }
        say(&line).map(|_| ())
    })
}

/// Lines that contain a text; there are no patterns.
pub(crate) fn grep(arguments: &[String]) -> io::Result<bool> {
    let (asked, operands) = flags(arguments, "Fivqn")?;
    let Some((wanted, files)) = operands.split_first() else { return usage("grep [-ivqn] TEXT [FILE]...") };
    let fold = |text: &str| if asked.contains(&'i') { text.to_lowercase() } else { text.to_owned() };
    let wanted = fold(wanted);
    let mut found = false;
    let all = each(files, |path, input| {
        for (number, line) in BufReader::new(input).lines().enumerate() {
            let line = line.map_err(at(path))?;
            if fold(&line).contains(&wanted) == asked.contains(&'v') {
                continue;
            }
            found = true;
            if !asked.contains(&'q') {
                let prefix = if asked.contains(&'n') { format!("{}:", number + 1) } else { String::new() };
                say(&format!("{prefix}{line}"))?;
            }
        }
        Ok(())
    })?;
    Ok(all && found)
}

pub(crate) fn sleep(arguments: &[String]) -> io::Result<bool> {
    let mut total = Duration::ZERO;
    for argument in arguments {
        let (number, unit) = match argument.strip_suffix(['s', 'm', 'h', 'd']) {
            Some(number) => (number, argument.chars().next_back().unwrap_or('s')),
            None => (argument.as_str(), 's'),
        };
        let seconds = match unit {
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86400.0,
            _ => 1.0,
        };
        let time = number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * seconds).ok());
        match time {
            Some(time) => total += time,
            None if argument == "infinity" => total = Duration::from_secs(u64::from(u32::MAX)),
            None => return usage("sleep SECONDS"),
        }
    }
    std::thread::sleep(total);
    Ok(true)
}

/// Seconds since 1970 with `+%s`, else the time in UTC.
pub(crate) fn date(arguments: &[String]) -> io::Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if arguments.first().is_some_and(|format| format == "+%s") {
        return say(&now.to_string());
    }
    let (year, month, day) = civil(now / 86400);
    let (hour, minute, second) = (now / 3600 % 24, now / 60 % 60, now % 60);
    say(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// The date of a day counted from 1970, in the proleptic Gregorian calendar.
fn civil(mut day: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}
