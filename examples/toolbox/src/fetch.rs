//! `wget`: one GET over plain HTTP to wherever the pod's network reaches.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::{at, usage};

const USAGE: &str = "wget [-q] [-S] [-T SECONDS] [-O FILE] http://HOST[:PORT]/PATH";

pub(crate) fn wget(arguments: &[String]) -> io::Result<bool> {
    let (mut file, mut quiet, mut headers, mut timeout, mut url) = (None, false, false, 30, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-O" => file = rest.next().cloned(),
            "-qO-" | "-qO" if argument.ends_with('-') => (file, quiet) = (Some("-".to_owned()), true),
            "-qO" => (file, quiet) = (rest.next().cloned(), true),
            "-O-" => file = Some("-".to_owned()),
            "-q" => quiet = true,
            "-S" => headers = true,
            "-T" => timeout = rest.next().and_then(|text| text.parse().ok()).unwrap_or(timeout),
            _ => url = Some(argument.as_str()),
        }
    }
    let Some(address) = url.map(|url| url.strip_prefix("http://").unwrap_or(url)).filter(|url| !url.contains("://"))
    else {
        return usage(USAGE);
    };
    let (authority, path) = address.find('/').map_or((address, "/"), |slash| address.split_at(slash));
    let (status, mut body) = get(authority, path, Duration::from_secs(timeout), headers)?;
    if !(200..300).contains(&status) {
        return Err(io::Error::other(format!("server returned error: HTTP {status}")));
    }
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html");
    match file.as_deref().unwrap_or(name) {
        "-" => {
            let mut out = io::stdout().lock();
            io::copy(&mut body, &mut out)?;
            out.flush()?;
        }
        path => {
            let count = io::copy(&mut body, &mut File::create(path).map_err(at(path))?)?;
            if !quiet {
                eprintln!("'{path}' saved, {count} bytes");
            }
        }
    }
    Ok(true)
}

/// Asks with HTTP/1.0, so that the answer ends with the connection and is in no chunks.
fn get(authority: &str, path: &str, timeout: Duration, show: bool) -> io::Result<(u16, Box<dyn Read>)> {
    let target = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut failed = io::Error::other(format!("bad address '{authority}'"));
    let mut connected = None;
    for address in target.to_socket_addrs().map_err(at(authority))? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                connected = Some(stream);
                break;
            }
            Err(error) => failed = at(&target)(error),
        }
    }
    let Some(mut stream) = connected else { return Err(failed) };
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: wget\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))?;
    let mut length = None;
    loop {
        if show {
            eprintln!("  {}", line.trim_end());
        }
        line.clear();
        if answer.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            let _ = name;
            length = value.trim().parse::<u64>().ok();
        }
    }
    Ok((status, Box::new(answer.take(length.unwrap_or(u64::MAX)))))
}
