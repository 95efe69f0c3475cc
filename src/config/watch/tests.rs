//! Every way files are replaced in practice, on a real file system.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A watcher that has looked at what it starts with.
async fn watch(files: &[PathBuf]) -> Watcher {
    let mut watcher = Watcher::new(files.to_vec());
    assert!(watcher.deaf().is_none());
    while watcher.rung {
        assert!(!watcher.look().await);
    }
    watcher
}

async fn noticed(watcher: &mut Watcher) {
    timeout(DEADLINE, watcher.changed())
        .await
        .expect("the change is noticed");
}

/// Something rang, and it was nothing.
async fn silent(watcher: &mut Watcher) {
    assert_eq!(timeout(DEADLINE, watcher.look()).await, Ok(false));
}

#[tokio::test]
async fn every_way_of_replacing_a_file_is_noticed() {
    let dir = folder();
    let file = dir.path().join("routes.toml");
    let real = dir.path().join("real.toml");
    fs::write(&file, "1").unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;

    fs::write(&file, "written in place").unwrap();
    noticed(&mut watcher).await;

    fs::write(dir.path().join("routes.toml.tmp"), "renamed over").unwrap();
    fs::rename(dir.path().join("routes.toml.tmp"), &file).unwrap();
    noticed(&mut watcher).await;

    fs::remove_file(&file).unwrap();
    fs::write(&file, "removed and made again").unwrap();
    noticed(&mut watcher).await;

    fs::write(&real, "behind a link").unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&real, &file).unwrap();
    noticed(&mut watcher).await;

    fs::write(&real, "changed behind the link").unwrap();
    noticed(&mut watcher).await;
}

#[tokio::test]
async fn a_link_into_another_folder_is_followed_there() {
    let (here, there) = (folder(), folder());
    let (file, real) = (here.path().join("token"), there.path().join("token"));
    fs::write(&real, "1").unwrap();
    symlink(&real, &file).unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;
    fs::write(&real, "2").unwrap();
    noticed(&mut watcher).await;
}

#[tokio::test]
async fn a_swap_of_kubernetes_data_folder_is_noticed_once() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    for (version, text) in [("..1", "one"), ("..2", "two"), ("..3", "two")] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("routes.toml"), text).unwrap();
    }
    symlink("..1", path("..data")).unwrap();
    symlink("..data/routes.toml", path("routes.toml")).unwrap();
    // Both ways to name it: by the link, and inside the swapped folder.
    let mut watcher = watch(&[path("routes.toml"), path("..data/routes.toml")]).await;
    let swap = |version: &str| {
        symlink(version, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    swap("..2");
    fs::remove_dir_all(path("..1")).unwrap();
    noticed(&mut watcher).await;
    swap("..3");
    silent(&mut watcher).await;
    fs::write(path("..3").join("routes.toml"), "three").unwrap();
    noticed(&mut watcher).await;
}

#[tokio::test]
async fn equal_bytes_are_no_change() {
    let dir = folder();
    let file = dir.path().join("routes.toml");
    fs::write(&file, "same").unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;
    fs::write(&file, "same").unwrap();
    silent(&mut watcher).await;
    fs::write(dir.path().join(".routes.toml.swp"), "an editor's own").unwrap();
    silent(&mut watcher).await;
}

#[tokio::test]
async fn a_file_that_vanishes_for_a_moment_was_never_gone() {
    let dir = folder();
    let file = dir.path().join("crm.toml");
    fs::write(&file, "here").unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;
    fs::remove_file(&file).unwrap();
    silent(&mut watcher).await;
    assert!(watcher.gone_since.is_some());
    fs::write(&file, "").unwrap();
    silent(&mut watcher).await;
    fs::write(&file, "here").unwrap();
    while watcher.gone_since.is_some() {
        silent(&mut watcher).await;
    }
    // One that stays away is reported, after its time of grace.
    fs::remove_file(&file).unwrap();
    let removed = Instant::now();
    noticed(&mut watcher).await;
    assert!(removed.elapsed() >= GRACE);
}

#[tokio::test]
async fn a_new_file_among_the_includes_is_noticed() {
    let dir = folder();
    fs::create_dir(dir.path().join("routes.d")).unwrap();
    let mut watcher = watch(&[dir.path().join("routes.d/*.toml")]).await;
    fs::write(dir.path().join("routes.d/notes.txt"), "none of ours").unwrap();
    silent(&mut watcher).await;
    fs::write(dir.path().join("routes.d/crm.toml"), "[destination.crm]").unwrap();
    noticed(&mut watcher).await;
}

#[tokio::test]
async fn a_folder_that_is_replaced_whole_is_listened_to_again() {
    let dir = folder();
    let (etc, next) = (dir.path().join("etc"), dir.path().join("next"));
    for (folder, text) in [(&etc, "1"), (&next, "2")] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("routes.toml"), text).unwrap();
    }
    let mut watcher = watch(&[etc.join("routes.toml")]).await;
    fs::rename(&etc, dir.path().join("old")).unwrap();
    fs::rename(&next, &etc).unwrap();
    noticed(&mut watcher).await;
    fs::write(etc.join("routes.toml"), "3").unwrap();
    noticed(&mut watcher).await;
}

#[tokio::test]
async fn a_reload_keeps_what_changed_while_it_ran() {
    let dir = folder();
    let (file, secret) = (dir.path().join("routes.toml"), dir.path().join("secret"));
    fs::write(&file, "1").unwrap();
    fs::write(&secret, "1").unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;
    fs::write(&file, "2").unwrap();
    watcher.set_files(vec![file, secret.clone()]);
    noticed(&mut watcher).await;
    fs::write(&secret, "2").unwrap();
    noticed(&mut watcher).await;
}

#[tokio::test]
async fn a_storm_of_writes_delays_the_report_by_a_second_at_most() {
    let dir = folder();
    let file = dir.path().join("routes.toml");
    fs::write(&file, "0").unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;
    let storm = async {
        for number in 1.. {
            fs::write(&file, number.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = storm => {}
        () = noticed(&mut watcher) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_kernels_help_the_files_are_looked_at_every_five_seconds() {
    let dir = folder();
    let file = dir.path().join("routes.toml");
    fs::write(&file, "1").unwrap();
    let mut watcher = watch(std::slice::from_ref(&file)).await;
    watcher.native = None;
    watcher.deaf = Some(notify::Error::generic("no inotify"));
    watcher.bell = Arc::default();
    fs::write(&file, "2").unwrap();
    let began = Instant::now();
    watcher.changed().await;
    assert!(began.elapsed() >= POLL && began.elapsed() < POLL * 2);
}
