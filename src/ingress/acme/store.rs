//! What is kept of ACME on disk: `<data_dir>/acme/<server>/`, one folder for
//! each directory, so that a staging server's account and certificate are never
//! taken for the real one's. Everything here blocks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The key and the chain it belongs to: one file, so that the two are never
/// of different ages.
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// The account's address and key.
pub(super) const ACCOUNT: &str = "account.json";
/// When orders were placed, and what the server said about more.
pub(super) const TRIED: &str = "tried.json";

/// None of the files comes near.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One server's folder.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    /// Makes the folder (0700) where there is none.
    pub(super) fn open(data_dir: &Path, directory: &str) -> io::Result<Self> {
        let acme = data_dir.join("acme");
        let folder = acme.join(folder_name(directory));
        for (folder, parent) in [(&acme, data_dir), (&folder, acme.as_path())] {
            match DirBuilder::new().mode(0o700).create(folder) {
                Ok(()) => sync_dir(parent)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(folder))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file's bytes, wiped when dropped; `None` where there is none.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let file = match File::open(self.path(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces a file (0600), whole or not at all, durably. Where it fails
    /// (a full disk), the old one stands.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path(&format!("{name}.new"));
        let written = write_new(&new, bytes)
            .and_then(|()| std::fs::rename(&new, self.path(name)))
            .and_then(|()| sync_dir(&self.0));
        if written.is_err() {
            // What is left of it would only take room.
            let _absent = std::fs::remove_file(&new);
        }
        written
    }

    /// Forgets a file.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_dir(&self.0),
        }
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Left by a crash, perhaps with other rights than a new one gets.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// `https://acme.example:14000/dir` to `acme.example-14000-dir`.
fn folder_name(directory: &str) -> String {
    let (_, place) = directory.split_once("://").unwrap_or(("", directory));
    let keep = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    let name: String = place
        .trim_matches('/')
        .chars()
        .map(|letter| if keep(letter) { letter } else { '-' })
        .take(NAME_MAX)
        .collect();
    // Neither the folder itself nor the one above it.
    if name.chars().all(|letter| letter == '.') {
        return "directory".to_owned();
    }
    name
}

/// Of a file's name, with room for more.
const NAME_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_for_nobody_else() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), "https://acme.example/dir").unwrap();
        store.write(CERTIFICATE, b"key").unwrap();
        assert_eq!(mode(&data.path().join("acme")), 0o700);
        assert_eq!(mode(&data.path().join("acme/acme.example-dir")), 0o700);
        assert_eq!(mode(&store.path(CERTIFICATE)), 0o600);
        assert_eq!(store.read(CERTIFICATE).unwrap().unwrap().as_slice(), b"key");
        assert_eq!(store.read(ACCOUNT).unwrap(), None);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), "https://acme.example/dir").unwrap();
        store.write(CERTIFICATE, b"old").unwrap();
        // What stands where the new file would be written cannot be replaced.
        let obstacle = store.path(&format!("{CERTIFICATE}.new"));
        std::fs::create_dir_all(obstacle.join("full")).unwrap();
        assert!(store.write(CERTIFICATE, b"new").is_err());
        assert_eq!(store.read(CERTIFICATE).unwrap().unwrap().as_slice(), b"old");
        std::fs::remove_dir_all(&obstacle).unwrap();
        // A crash between writing and renaming leaves this.
        std::fs::write(&obstacle, b"half").unwrap();
        store.write(CERTIFICATE, b"new").unwrap();
        assert_eq!(store.read(CERTIFICATE).unwrap().unwrap().as_slice(), b"new");
        assert!(!obstacle.exists());
    }

    #[test]
    fn each_server_has_its_own_folder_inside_ours() {
        for (directory, folder) in [
            (
                "https://acme-v02.api.example.org/directory",
                "acme-v02.api.example.org-directory",
            ),
            ("http://127.0.0.1:14000/dir/", "127.0.0.1-14000-dir"),
            ("https://../..", "..-.."),
            ("https://..", "directory"),
        ] {
            assert_eq!(folder_name(directory), folder);
        }
    }
}
