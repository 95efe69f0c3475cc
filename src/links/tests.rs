//! What links promise, on a disk that works and on one that does not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::task::{Context, Waker};

use redb::StorageBackend;

use super::*;

fn key(n: usize) -> Key {
    Key::from(format!("qiscus/{n}"))
}

#[test]
fn a_link_is_visible_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    assert_eq!(links.customer(&key(1)), None);
    links.remember_customer(&key(1), "ann");
    assert_eq!(links.customer(&key(1)).as_deref(), Some("ann"));
    links.remember_customer(&key(1), "bob");
    for n in 2..500 {
        links.remember_customer(&key(n), "carol");
    }
    links.close();
    links.close();
    drop(links);
    let links = Links::open(folder.path()).unwrap();
    assert_eq!(links.customer(&key(1)).as_deref(), Some("bob"));
    assert_eq!(links.customer(&key(499)).as_deref(), Some("carol"));
    assert_eq!(links.customer(&key(500)), None);
    let mode = folder
        .path()
        .join("links.redb")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_is_known_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    links.remember_customer(&key(1), "ann");
    drop(links);
    let links = Links::open(folder.path()).unwrap();
    let batch = HashMap::from([(key(1), Arc::from("ann"))]);
    assert_eq!(links.handle.shared.commit(&batch).unwrap(), 0);
    let batch = HashMap::from([(key(1), Arc::from("bob"))]);
    assert_eq!(links.handle.shared.commit(&batch).unwrap(), 1);
}

#[test]
fn the_cache_has_an_end_and_the_table_answers_beyond_it() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    links.remember_customer(&key(0), "first");
    let shared = &links.handle.shared;
    for n in 1..CACHED_MAX {
        shared.cache.insert(key(n), None);
    }
    links.remember_customer(&key(CACHED_MAX), "last");
    assert_eq!(shared.cache.len(), 1);
    assert_eq!(links.customer(&key(0)).as_deref(), Some("first"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_with_its_path() {
    let error = Links::open(Path::new("/nonexistent/folder")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nonexistent/folder/links.redb: ")
    );
}

/// A file that takes nothing while there is another called `<its name>.broken`.
#[derive(Debug)]
struct Fragile(File, PathBuf);

impl Fragile {
    fn try_to<T>(&self, work: io::Result<T>) -> io::Result<T> {
        if self.1.exists() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        work
    }
}

impl StorageBackend for Fragile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.try_to(self.0.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.try_to(self.0.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.try_to(self.0.write_all_at(data, offset))
    }
}

pub(super) fn broken(path: &Path) -> PathBuf {
    path.with_extension("broken")
}

pub(super) fn open_fragile(path: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let fragile = Fragile(file.map_err(redb::StorageError::Io)?, broken(path));
    Database::builder().create_with_backend(fragile)
}

#[test]
fn a_disk_that_works_again_takes_what_it_refused() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open_by(folder.path(), open_fragile).unwrap();
    let shared = &links.handle.shared;
    let batch = HashMap::from([(key(1), Arc::from("ann"))]);
    File::create(broken(&shared.path)).unwrap();
    assert!(shared.commit(&batch).is_err());
    std::fs::remove_file(broken(&shared.path)).unwrap();
    assert!(shared.commit(&batch).is_err(), "redb has latched");
    shared.write(&batch, false);
    assert!(lock(&shared.unwritten).customers.is_empty());
    assert_eq!(shared.look_up(&key(1)).unwrap().as_deref(), Some("ann"));
}

#[test]
fn while_the_disk_is_broken_what_was_taught_is_known_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open_by(folder.path(), open_fragile).unwrap();
    let shared = &links.handle.shared;
    let batch = HashMap::from([(key(1), Arc::from("ann"))]);
    File::create(broken(&shared.path)).unwrap();
    shared.write(&batch, false);
    assert_eq!(links.customer(&key(1)).as_deref(), Some("ann"));
    assert_eq!(links.customer(&key(2)), None);
    std::fs::remove_file(broken(&shared.path)).unwrap();
    links.close();
    assert_eq!(shared.look_up(&key(1)).unwrap().as_deref(), Some("ann"));
}

#[test]
fn nobody_waits_for_the_disk_and_what_is_too_much_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let shared = &links.handle.shared;
    // As if a commit of them took for ever.
    let many = (0..UNWRITTEN_MAX).map(|n| (key(n), Arc::from("x")));
    lock(&shared.unwritten).committing = Arc::new(many.collect());
    links.remember_customer(&key(UNWRITTEN_MAX), "newest");
    let unwritten = lock(&shared.unwritten);
    assert_eq!((unwritten.dropped, unwritten.customers.len()), (1, 0));
}

#[tokio::test]
async fn the_disk_is_never_waited_for_on_a_thread_that_runs_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let links = Links::open(folder.path()).unwrap();
    let shared = &links.handle.shared;
    let batch = HashMap::from([(key(1), Arc::from("ann"))]);
    shared.commit(&batch).unwrap();
    let (one, two) = (key(1), key(2));
    let mut asked = Box::pin(links.find_customer(&one));
    {
        let _held = shared.database.write().unwrap();
        let polled = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        links.remember_customer(&two, "bob");
    }
    assert_eq!(asked.await.as_deref(), Some("ann"));
    assert_eq!(links.find_customer(&two).await.as_deref(), Some("bob"));
    let nobody = key(3);
    assert_eq!(links.find_customer(&nobody).await, None);
    assert_eq!(shared.in_memory(&nobody), Some(None), "asked once");
    links.remember_customer(&nobody, "carol");
    assert_eq!(links.find_customer(&nobody).await.as_deref(), Some("carol"));
}

/// What a power cut leaves of a database that was being made: room, and no
/// magic number yet.
fn half_made(path: &Path) -> Result<Database, DatabaseError> {
    std::fs::write(path, vec![0; 4096]).unwrap();
    Err(redb::StorageError::Io(io::Error::other("the power went")).into())
}

/// A2: the rig found a gateway that would never start again.
#[test]
fn a_power_cut_while_the_database_is_made_stops_no_start() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Links::open_by(folder.path(), half_made).is_err());
    let links = Links::open(folder.path()).unwrap();
    links.remember_customer(&key(1), "ann");
    links.close();
    drop(links);
    let links = Links::open(folder.path()).unwrap();
    assert_eq!(links.customer(&key(1)).as_deref(), Some("ann"));
    let files = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["links.redb"]);
}
