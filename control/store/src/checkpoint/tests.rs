//! Checkpoint files on a simulated disk.

use std::path::{Path, PathBuf};

use super::file::NewCheckpoint;
use super::{CheckpointError, CheckpointFile};
use crate::index::{HistoryBounds, Index};
use crate::log::LogIdentity;
use crate::types::{Operation, Transaction};
use crate::vfs::Vfs;
use crate::vfs::sim::{Loss, SimDisk};

const IDENTITY: LogIdentity = LogIdentity { cluster: 1, node: 2 };
const BOUNDS: HistoryBounds = HistoryBounds { events_max: 8, bytes_max: 1 << 20 };

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk
}

fn directory() -> PathBuf {
    PathBuf::from("/data")
}

fn change(index: &mut Index, number: u64) {
    let key = format!("key{}", number % 5).into();
    let operation = if number % 7 == 6 {
        Operation::Delete { key }
    } else {
        Operation::Put { key, value: format!("value {number}").into() }
    };
    index.apply(&Transaction { conditions: vec![], operations: vec![operation] });
}

fn write(disk: &SimDisk, file: &mut Option<CheckpointFile<u64>>, index: &mut Index, applied: u64) {
    let (numbers, delta) = (index.numbers(), index.take_delta());
    let checkpoint = NewCheckpoint { numbers, applied, delta: &delta };
    match file {
        Some(file) => file.write(checkpoint).unwrap(),
        None => *file = Some(CheckpointFile::create(disk, &directory(), IDENTITY, 1 << 16, checkpoint).unwrap()),
    }
}

fn open(disk: &SimDisk, identity: LogIdentity) -> Result<Option<CheckpointFile<u64>>, CheckpointError> {
    CheckpointFile::open(disk, &directory(), identity, 1 << 16)
}

#[test]
fn what_was_written_is_what_is_loaded() {
    let (disk, mut index, mut file) = (disk(), Index::new(BOUNDS), None);
    for number in 0..60 {
        change(&mut index, number);
        if number % 4 == 3 {
            write(&disk, &mut file, &mut index, number);
            let crashed = disk.state().crash(Loss::Everything, 0);
            let file = open(&crashed, IDENTITY).unwrap().expect("there is a checkpoint");
            let image = file.image().unwrap();
            assert_eq!(*image.applied(), number);
            let loaded = Index::load(BOUNDS, image.numbers(), image.rows().unwrap()).unwrap();
            assert_eq!(loaded.numbers(), index.numbers());
            assert!(loaded.snapshot().prefix(b"").eq(index.snapshot().prefix(b"")));
            assert!(loaded.history().from(0).eq(index.history().from(0)));
        }
    }
}

#[test]
fn an_image_stays_as_it_is_and_can_replace_another_state() {
    let (disk, mut index, mut file) = (disk(), Index::new(BOUNDS), None);
    (0..10).for_each(|number| change(&mut index, number));
    write(&disk, &mut file, &mut index, 10);
    let image = file.as_ref().unwrap().image().unwrap();
    let rows = |image: &super::CheckpointImage<u64>| image.rows().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let before = rows(&image);
    (10..40).for_each(|number| change(&mut index, number));
    write(&disk, &mut file, &mut index, 40);
    assert_eq!(rows(&image), before);

    let (other_disk, mut other, mut other_file) = (self::disk(), Index::new(BOUNDS), None);
    (100..130).for_each(|number| change(&mut other, number));
    write(&other_disk, &mut other_file, &mut other, 130);
    other_file.as_mut().unwrap().replace(&image).unwrap();
    let replaced = other_file.as_ref().unwrap().image().unwrap();
    assert_eq!((rows(&replaced), *replaced.applied()), (before, 10));
}

#[test]
fn a_checkpoint_of_another_store_is_refused() {
    let (disk, mut index, mut file) = (disk(), Index::new(BOUNDS), None);
    write(&disk, &mut file, &mut index, 1);
    drop(file);
    let error = open(&disk, LogIdentity { cluster: 9, node: 2 }).unwrap_err().to_string();
    assert!(error.contains("belongs to another store"), "{error}");
}

/// Whatever is damaged is refused, by redb or by the checksums; what is accepted is what was written.
#[test]
fn damage_is_refused() {
    let (disk, mut index, mut file) = (disk(), Index::new(BOUNDS), None);
    (0..60).for_each(|number| change(&mut index, number));
    write(&disk, &mut file, &mut index, 1);
    drop(file);
    let path = Path::new("/data/state.redb");
    let bytes = disk.open(path).unwrap().len().unwrap();
    let (mut refused, mut accepted) = (0, 0);
    for offset in (0..bytes.min(1 << 17)).step_by(97) {
        let damaged = disk.state().crash(Loss::Everything, 0);
        let file = damaged.open(path).unwrap();
        let mut byte = [0];
        file.read_at(offset, &mut byte).unwrap();
        file.write_at(offset, &[!byte[0]]).unwrap();
        let loaded = std::panic::catch_unwind(|| {
            let file = open(&damaged, IDENTITY)?.expect("there is a checkpoint");
            let image = file.image()?;
            Index::load(BOUNDS, image.numbers(), image.rows()?)
        });
        match loaded {
            Ok(Ok(loaded)) => {
                assert!(loaded.snapshot().prefix(b"").eq(index.snapshot().prefix(b"")), "byte {offset}");
                accepted += 1;
            }
            // redb panics on some damage of its own pages; whoever opens the store takes that for an error.
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    assert!(refused > 0 && accepted > 0, "{refused} refused, {accepted} accepted");
}

#[test]
fn no_checkpoint_is_no_error_and_an_empty_file_is() {
    let disk = disk();
    assert!(open(&disk, IDENTITY).unwrap().is_none());
    disk.create(Path::new("/data/state.redb")).unwrap();
    assert!(open(&disk, IDENTITY).is_err());
}
