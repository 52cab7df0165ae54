//! `coracle image`: the local image store.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use coracle_host_image::ImageStore;

use super::table;
use crate::cli::{DataDirArgument, ImageCommand, Output};
use crate::{cluster, defaults};

pub(crate) fn execute(command: &ImageCommand) -> Result<ExitCode> {
    match command {
        ImageCommand::Load { file, tag, data } => load(file, tag, data)?,
        ImageCommand::List { data, output } => list(data, *output)?,
        ImageCommand::Remove { name, data } => remove(name, data)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The store of a data directory, which a running `coracle up` may have open as well.
pub(super) fn open_store(data: &DataDirArgument) -> Result<ImageStore> {
    cluster::open_images(&data.resolve()?, true)
}

/// Reads a program from a file, within the bound on a program's size.
pub(super) fn read_program(file: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    if metadata.is_dir() {
        bail!("{} is a directory; name a .wasm file", file.display());
    }
    if metadata.len() > defaults::IMAGE_FILE_BYTES_MAX {
        bail!(
            "{} has {} bytes; a program may have at most {}",
            file.display(),
            metadata.len(),
            defaults::IMAGE_FILE_BYTES_MAX
        );
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn load(file: &Path, tag: &str, data: &DataDirArgument) -> Result<()> {
    let program = read_program(file)?;
    let record =
        open_store(data)?.load(&program, tag).with_context(|| format!("cannot load {} as {tag}", file.display()))?;
    println!("{} {}", record.reference, record.digest);
    Ok(())
}

fn list(data: &DataDirArgument, output: Output) -> Result<()> {
    let records = open_store(data)?.list().context("cannot list the images")?;
    match output {
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&records).context("cannot print the list")?);
        }
        Output::Table => {
            let rows = records
                .iter()
                .map(|record| vec![record.reference.to_string(), record.digest.to_string(), size(record.size_bytes)]);
            println!("{}", table::render(["NAME", "DIGEST", "SIZE"].map(str::to_owned), rows));
        }
    }
    Ok(())
}

fn remove(name: &str, data: &DataDirArgument) -> Result<()> {
    open_store(data)?.remove(name).with_context(|| format!("cannot remove {name}"))?;
    println!("{name}");
    Ok(())
}

/// A size in the unit in which it has at most four digits before the point.
fn size(bytes: u64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB"] {
        if value < 10_000 {
            return format!("{value} {unit}");
        }
        value /= 1024;
    }
    format!("{value} GiB")
}
